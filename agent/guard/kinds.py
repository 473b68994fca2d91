"""Resource types: which are never read, and what a policy file needs to know of Kubernetes' own."""

import re
from functools import cache

TYPE = re.compile(r"[A-Za-z][A-Za-z0-9-]*(?:\.[A-Za-z0-9.-]*)?")
"""TYPE, TYPE.GROUP, TYPE.VERSION.GROUP, and the odd forms with a dot at the end, which kubectl takes too."""

CREDENTIALS = {
    "Kubernetes": "secret secrets tokenrequest tokenrequests tokenreview tokenreviews",
    "OpenShift: tokens that sign in as their user, and clients with their secret in plain text": """
        oauthaccesstoken oauthaccesstokens useroauthaccesstoken useroauthaccesstokens
        oauthauthorizetoken oauthauthorizetokens oauthclient oauthclients""",
    "Rancher and Fleet": """
        token tokens samltoken samltokens authtoken authtokens clusterauthtoken clusterauthtokens kubeconfig kubeconfigs
        clusterregistrationtoken clusterregistrationtokens serviceaccounttoken serviceaccounttokens
        namespacedserviceaccounttoken namespacedserviceaccounttokens dockercredential dockercredentials
        namespaceddockercredential namespaceddockercredentials basicauth basicauths
        namespacedbasicauth namespacedbasicauths sshauth sshauths namespacedsshauth namespacedsshauths""",
    "Dex, whose sessions are custom resources": """
        refreshtoken refreshtokens devicetoken devicetokens devicerequest devicerequests authcode authcodes
        authrequest authrequests signingkey signingkeys signingkeies oauth2client oauth2clients password passwords
        offlinesessions offlinesessionses""",
    "Gardener's copy of Secret, and Teleport's join tokens": """
        internalsecret internalsecrets teleportprovisiontoken teleportprovisiontokens""",
}
"""Types whose objects are credentials, plural and singular. Compared with the part before the first dot, in lower case:
kubectl finds a type by plural, singular and kind, whatever the case, and a group by any beginning of its name.

Not among them: types that only point to a Secret (externalsecrets, secretstores, vaultstaticsecrets,
secretproviderclasses) or hold one encrypted (sealedsecrets)."""

DENIED_TYPES = frozenset(name for names in CREDENTIALS.values() for name in names.split())

# One type a line: plural, then singular and short names. Kubernetes 1.27 to 1.37.
_NAMESPACED = """
    bindings binding
    configmaps configmap cm
    controllerrevisions controllerrevision
    cronjobs cronjob cj
    csistoragecapacities csistoragecapacity
    daemonsets daemonset ds
    deployments deployment deploy
    endpoints endpoint ep
    endpointslices endpointslice
    events event ev
    horizontalpodautoscalers horizontalpodautoscaler hpa
    ingresses ingress ing
    jobs job
    leases lease
    limitranges limitrange limits
    networkpolicies networkpolicy netpol
    persistentvolumeclaims persistentvolumeclaim pvc
    poddisruptionbudgets poddisruptionbudget pdb
    pods pod po
    podtemplates podtemplate
    replicasets replicaset rs
    replicationcontrollers replicationcontroller rc
    resourceclaims resourceclaim
    resourceclaimtemplates resourceclaimtemplate
    resourcequotas resourcequota quota
    rolebindings rolebinding
    roles role
    serviceaccounts serviceaccount sa
    services service svc
    statefulsets statefulset sts
"""
_CLUSTER_SCOPED = """
    apiservices apiservice
    certificatesigningrequests certificatesigningrequest csr
    clusterrolebindings clusterrolebinding
    clusterroles clusterrole
    componentstatuses componentstatus cs
    csidrivers csidriver
    csinodes csinode
    customresourcedefinitions customresourcedefinition crd crds
    deviceclasses deviceclass
    flowschemas flowschema
    ingressclasses ingressclass
    ipaddresses ipaddress ip
    mutatingwebhookconfigurations mutatingwebhookconfiguration
    namespaces namespace ns
    nodes node no
    persistentvolumes persistentvolume pv
    priorityclasses priorityclass pc
    prioritylevelconfigurations prioritylevelconfiguration
    resourceslices resourceslice
    runtimeclasses runtimeclass
    servicecidrs servicecidr
    storageclasses storageclass sc
    validatingadmissionpolicies validatingadmissionpolicy
    validatingadmissionpolicybindings validatingadmissionpolicybinding
    validatingwebhookconfigurations validatingwebhookconfiguration
    volumeattachments volumeattachment
    volumeattributesclasses volumeattributesclass vac
"""
_GROUPS = frozenset({
    "", "apps", "batch", "autoscaling", "policy", "events.k8s.io", "networking.k8s.io", "rbac.authorization.k8s.io",
    "storage.k8s.io", "discovery.k8s.io", "coordination.k8s.io", "resource.k8s.io", "metrics.k8s.io",
    "apiextensions.k8s.io", "apiregistration.k8s.io", "admissionregistration.k8s.io", "certificates.k8s.io",
    "scheduling.k8s.io", "node.k8s.io", "flowcontrol.apiserver.k8s.io",
})  # fmt: skip
"""Kubernetes' own. A shortened group (kubectl takes "deployments.ap") might mean a custom type, so it isn't known."""

CATEGORIES = frozenset({"all", "api-extensions"})
"""Words that kubectl takes for several types."""

_LIST = re.compile(r"(.+)lists?")
_VERSION = re.compile(r"v\d+(?:(?:alpha|beta)\d+)?")


@cache
def _plurals() -> dict[str, str]:
    """Every name of a type of Kubernetes' own, to its plural."""
    rows = [row.split() for row in (_NAMESPACED + _CLUSTER_SCOPED).strip().splitlines()]
    return {name: row[0] for row in rows for name in row}


@cache
def _namespaced() -> frozenset[str]:
    return frozenset(row.split()[0] for row in _NAMESPACED.strip().splitlines())


def denied(kind: str) -> bool:
    """Whether a type's objects are credentials. kubectl takes the kind of a list (SecretList) for a type, too."""
    base = kind.lower().partition(".")[0]
    of_list = _LIST.fullmatch(base)
    return base in DENIED_TYPES or (of_list is not None and of_list[1] in DENIED_TYPES)


def plural(kind: str) -> str:
    """One name for all spellings of a type of Kubernetes' own: "po", "Pod" and "pods.v1." are "pods".

    A type of another group is returned as written, in lower case: only its cluster knows how else it may be spelled.
    """
    base, _, rest = kind.lower().partition(".")
    version, dot, after = rest.partition(".")
    group = after if dot and _VERSION.fullmatch(version) else rest
    known = _plurals().get(base)
    return known if known and (not rest or group in _GROUPS) else kind.lower()


def own_types() -> tuple[str, ...]:
    """Every type of Kubernetes' own, by its plural: those in namespaces first."""
    return tuple(dict.fromkeys(_plurals().values()))


def is_among(kind: str, types: frozenset[str]) -> bool:
    """Whether a type might be one of these, in whatever group: by plural, singular or kind, or known short name."""
    base = kind.lower().partition(".")[0]
    return not types.isdisjoint(_spellings(_plurals().get(base, base)))


def _spellings(name: str) -> set[str]:
    """A plural with its singular, a singular with its plurals, and a few that English doesn't know."""
    singulars = {name.removesuffix("s"), name.removesuffix("es")}
    if name.endswith("ies"):
        singulars.add(name[:-3] + "y")
    return {name, name + "s", name + "es", name[:-1] + "ies", *singulars}


def is_namespaced(kind: str) -> bool:
    """Whether a type is known to live in namespaces. Of custom types nothing is known."""
    return plural(kind) in _namespaced()
