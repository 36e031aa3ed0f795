"""The proxy: an Envoy in front of tritonserver, the only thing that listens on ports.

access    who may call: keys, names of the host, open models, TLS; what a bind beyond loopback demands
keys      the API keys, and the answer to Envoy's question whether a caller has one
limits    sizes, times and counts
routes    the addresses that exist; whatever is not listed does not
names.lua which models a gRPC request may name, read from its bytes as they pass
envoy     the configuration: listeners, filters, answers, the way to tritonserver's sockets
process   one Envoy: its start, its end, and its restart
"""
