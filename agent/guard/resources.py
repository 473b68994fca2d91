"""Resource types: which are never read, and what a policy file needs to know of Kubernetes' own."""

import re
from collections.abc import Collection, Mapping

TYPE = re.compile(r"[A-Za-z][A-Za-z0-9-]*(?:\.[A-Za-z0-9.-]*)?")
"""TYPE, TYPE.GROUP, TYPE.VERSION.GROUP, and the odd forms with a dot at the end, which kubectl takes too."""

_NAMED_FOR_IT = re.compile(r".*(?:secret|token|password|credential|kubeconfig|keypair)s?|kongcredential.*")
"""Types whose name says what they hold: `clustersecrets`, `oauthaccesstokens`, `sshkeypairs`, whoever defines them."""

_POINTERS = re.compile(
    r"(?:cluster)?(?:external|push|sealed|vault[a-z]*|infisical[a-z]*|doppler|bitwarden|azurekeyvault|csi|passbolt|sops)"
    r"secret|(?:acraccess|cloudsmithaccess|ecrauthorization|gcraccess|githubaccess|quayaccess|stssession)token"
)
"""Named so as well, but they only point to a Secret, make one, or hold it encrypted."""

_POINTER_GROUPS = ("generators.external-secrets.io", "operator.openshift.io")
"""Groups in which all such names are pointers (or, as OpenShift's `cloudcredential`, an operator's settings)."""


def _by_base(names: str) -> Mapping[str, str]:
    """Full names by what stands before their group."""
    return {name.partition(".")[0]: name for name in names.split()}


CREDENTIALS = _by_base("""
    csec object.kubernetes.crossplane.io content.fleet.cattle.io manifest.apps.clusternet.io generatorstate
    manifestwork manifestworkreplicaset mwrs work wk resourcetracker rt.core.oam.dev
    resourcesnapshot clusterresourcesnapshot syncset selectorsyncset downloadrequest
    tokenrequest tokenreview kubeadmconfig kubeadmconfigtemplate talosconfig talosconfigtemplate controllerconfig
    shootstate controllerregistration controllerdeployment clustergateway clusterregistrationrequest
    submariner servicediscovery
    oauthclient oauth2client.dex.coreos.com offlinesessions authcode authrequest devicerequest signingkey
    basicauth namespacedbasicauth sshauth namespacedsshauth
    keycloakuser keycloakclient keycloakrealm keycloakrealmimport apisixconsumer consumer.apisix.apache.org""")
"""Other types whose objects hold whole Secrets, what joins or opens a cluster, or what signs in as a user or a client:
singular or short name, with the group where others use the same word."""

TABLE_ONLY = _by_base("""
    machineconfig.machineconfiguration.openshift.io mc.machineconfiguration.openshift.io bundle.fleet.cattle.io
    runner.actions.summerwind.dev ephemeralrunner.actions.github.com crs.placement.kubernetes-fleet.io
    cluster-api clusternet crossplane external-secrets external-secrets-generators fleet fleet-placement karmada-io kong
    kubernetes managed oam""")
"""Types and categories whose objects hold credentials but whose table shows none, so people may list them."""

# Plural, and names that aren't its singular. Kubernetes 1.27 to 1.37.
_NAMESPACED_TYPES = """
    bindings, configmaps cm, controllerrevisions, cronjobs cj, csistoragecapacities, daemonsets ds,
    deployments deploy, endpoints ep, endpointslices, events ev, horizontalpodautoscalers hpa, ingresses ing, jobs,
    leases, leasecandidates, limitranges limits, networkpolicies netpol, persistentvolumeclaims pvc,
    poddisruptionbudgets pdb, pods po, podcertificaterequests, podmetrics podmetricses, podtemplates,
    replicasets rs, replicationcontrollers rc, resourceclaims, resourceclaimtemplates, resourcequotas quota,
    rolebindings, roles, serviceaccounts sa, services svc, statefulsets sts"""
_CLUSTER_SCOPED_TYPES = """
    apiservices, certificatesigningrequests csr, clustertrustbundles, clusterrolebindings, clusterroles,
    componentstatuses componentstatus cs, csidrivers, csinodes, customresourcedefinitions crd crds, deviceclasses,
    devicetaintrules, flowschemas, ingressclasses, ipaddresses ip, mutatingadmissionpolicies,
    mutatingadmissionpolicybindings, mutatingwebhookconfigurations, namespaces ns, nodemetrics nodemetricses,
    nodes no, persistentvolumes pv, priorityclasses pc, prioritylevelconfigurations, resourceslices, runtimeclasses,
    servicecidrs, storageclasses sc, validatingadmissionpolicies, validatingadmissionpolicybindings,
    validatingwebhookconfigurations, volumeattachments, volumeattributesclasses vac"""
_GROUPS = (
    "", "apps", "batch", "autoscaling", "policy", "events.k8s.io", "networking.k8s.io", "rbac.authorization.k8s.io",
    "storage.k8s.io", "discovery.k8s.io", "coordination.k8s.io", "resource.k8s.io", "metrics.k8s.io",
    "apiextensions.k8s.io", "apiregistration.k8s.io", "admissionregistration.k8s.io", "certificates.k8s.io",
    "scheduling.k8s.io", "node.k8s.io", "flowcontrol.apiserver.k8s.io",
)  # fmt: skip
"""Kubernetes' own. A shortened group (kubectl takes "deployments.ap") might mean a custom type, so it isn't known."""

CATEGORIES = frozenset({"all", "api-extensions"})  # words that kubectl takes for several types
MEASURED = {"podmetrics": "pods", "nodemetrics": "nodes"}  # types that hold the metrics of another type's objects
_SAME_OBJECTS = {**MEASURED, "projects": "namespaces", "project": "namespaces"}
"""Types that reveal much the same as another: denying that one denies these."""

_BEFORE_GROUP = re.compile(r"[^.]*\.?(?:v\d+(?:(?:alpha|beta)\d+)?\.)?")
_GROUP = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+")


def _by_name(table: str) -> dict[str, str]:
    """Every name of the table's types (their singulars too), to its plural."""
    rows = [row.split() for row in table.split(",")]
    singulars = {re.sub("ie$", "y", re.sub("sse$", "ss", row[0].removesuffix("s"))): row[0] for row in rows}
    return {name: row[0] for row in rows for name in row} | singulars


_NAMESPACED = _by_name(_NAMESPACED_TYPES)
_OWN = _NAMESPACED | _by_name(_CLUSTER_SCOPED_TYPES)
OWN_TYPES = tuple(dict.fromkeys(_OWN.values()))  # plurals, of those in namespaces first


def holds_credentials(kind: str) -> bool:
    """Whether a type's objects are credentials, which nobody may read. kubectl finds a type by plural, singular, short
    name and kind, whatever the case, and takes the kind of a list (SecretList) for a type, too.
    """
    bases = _bases(kind)
    if "secret" in bases or _is_listed(kind, CREDENTIALS):
        return True
    points = any(map(_POINTERS.fullmatch, bases)) or _group(kind) in _POINTER_GROUPS
    return any(map(_NAMED_FOR_IT.fullmatch, bases)) and not points and not is_table_only(kind)


def is_table_only(kind: str) -> bool:
    """Whether a type's objects may be listed, but not be printed whole."""
    return _is_listed(kind, TABLE_ONLY)


def _is_listed(kind: str, names: Mapping[str, str]) -> bool:
    """Whether TYPE, TYPE.GROUP or TYPE.VERSION.GROUP may be one of these: any beginning of a group stands for it."""
    rest = kind.lower().partition(".")[2]
    return any(
        names[base] == base or names[base].startswith((f"{base}.{rest}", f"{base}.{rest.partition('.')[2]}"))
        for base in _bases(kind) & names.keys()
    )


def _bases(kind: str) -> set[str]:
    """What stands before the group, in the singular; of a list, what it lists."""
    base = kind.lower().partition(".")[0]
    return _singulars(base) | _singulars(re.sub("(?<=.)lists?$", "", base))


def _singulars(name: str) -> set[str]:
    """What a plural may be the plural of, by English and by kubectl's guess (a kind's name and "s", "es" or "ies")."""
    return {name, name.removesuffix("s"), name.removesuffix("es"), re.sub("ies$", "y", name)}


def _group(kind: str) -> str:
    """The group of TYPE.GROUP or TYPE.VERSION.GROUP, "" for none."""
    return _BEFORE_GROUP.sub("", kind.lower(), 1)


def plural(kind: str) -> str:
    """One name for all spellings of a type of Kubernetes' own: "po", "Pod" and "pods.v1." are "pods".

    A type of another group is returned as written, in lower case: only its cluster knows how else it may be spelled.
    """
    known = _OWN.get(kind.lower().partition(".")[0])
    if known is None or _group(kind) not in _GROUPS:
        return kind.lower()
    measured = f"{known[:-1]}metrics"  # pods.metrics.k8s.io are the kind PodMetrics
    return measured if _group(kind) == "metrics.k8s.io" and measured in _OWN else known


def may_be_among(kind: str, types: Collection[str]) -> bool:
    """Whether a type might be one of these, in whatever group, by any of its names.

    Of a custom type only its cluster knows the short names, and which categories it is in. So where some of these are
    custom, a custom type must be written as plural and group, and not be what a short name is: some letters of one of
    these, in their order.
    """
    base = kind.lower().partition(".")[0]
    names = {_OWN.get(base, base), plural(kind)}
    names |= {_SAME_OBJECTS[name] for name in names & _SAME_OBJECTS.keys()}
    spellings = {each for name in names for each in (*_singulars(name), name + "s", name + "es", name[:-1] + "ies")}
    if not spellings.isdisjoint(types) or plural(kind) in CATEGORIES:
        return True
    custom = [iter(each) for each in types if not is_own(each)]
    if not custom or is_own(kind):
        return False
    return not _GROUP.fullmatch(_group(kind)) or any(all(letter in rest for letter in base) for rest in custom)


def is_own(kind: str) -> bool:
    """Whether a type is one of Kubernetes' own."""
    return plural(kind) in OWN_TYPES


def is_namespaced(kind: str) -> bool:
    """Whether a type is known to live in namespaces. Of custom types nothing is known."""
    return plural(kind) in _NAMESPACED
