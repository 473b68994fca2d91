"""The pictures in docs/pictures, made from the real program.

    python -m tests.pictures          (`make pictures`)

recording.py   the demo on a terminal of its own: what was on each row, and when
animation.py   a recording as an SVG that moves
prometheus.py  a real Prometheus that scrapes the agent
incident.py    what the dashboard's queries find while things go wrong
dashboard.py   the Grafana dashboard, drawn from that
"""
