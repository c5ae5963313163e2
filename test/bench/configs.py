# SPDX-License-Identifier: Apache-2.0
"""What stands in the proxies' configurations: the same work for each of them, in each one's own words.

@word@ is replaced when a proxy is started (proxies.py). A row of the benchmark asks for work by name; here is
what that means to each.
"""
from functools import cache

# The forwarding headers and a request id, which the gateway always adds.
NGINX_HEADERS = """proxy_set_header Host $http_host;
		proxy_set_header X-Forwarded-For $remote_addr;
		proxy_set_header X-Forwarded-Proto $scheme;
		proxy_set_header X-Forwarded-Host $http_host;
		proxy_set_header X-Request-Id $request_id;
		proxy_set_header Via "1.1 nginx";"""
HAPROXY_HEADERS = """option forwardfor
	http-request set-header X-Forwarded-Proto @scheme@
	http-request set-header X-Forwarded-Host %[req.hdr(host)]
	http-request set-header X-Request-Id %[@id@]
	http-request set-header Via "1.1 haproxy\""""

# TLS 1.3 with one cipher and one group, and the same P-256 certificate.
NGINX_TLS = """ssl_certificate @dir@/cert.pem;
		ssl_certificate_key @dir@/key.pem;
		ssl_protocols TLSv1.3;
		ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
		ssl_ecdh_curve X25519;"""
HAPROXY_TLS = "ssl crt @dir@/both.pem ssl-min-ver TLSv1.3 ciphersuites TLS_AES_128_GCM_SHA256 curves X25519"
GATEWAY_TLS = """tls = { enabled = true; min_version = "1.3"; ciphersuites = "TLS_AES_128_GCM_SHA256";
		groups = "X25519"; };"""
NGHTTPX_TLS = """private-key-file=@dir@/key.pem
certificate-file=@dir@/cert.pem
tls-min-proto-version=TLSv1.3
tls13-ciphers=TLS_AES_128_GCM_SHA256
ecdh-curves=X25519"""
GATEWAY_CERTIFICATES = """certificates = ( { id = "bench"; certificate = "@dir@/cert.pem"; key = "@dir@/key.pem"; } );"""

# A line of JSON for each request with what the gateway's has, as far as each knows it, written in batches where it
# can; metrics over HTTP; a traceparent made where the client sent none.
GATEWAY_LOG = 'enabled = true; path = "@dir@/access.log";'
NGINX_LOG = """log_format line escape=json '{"time":"$time_iso8601","request_id":"$request_id","trace_id":"$request_id",'
		'"client":"$remote_addr","method":"$request_method","scheme":"$scheme","host":"$host","path":"$uri",'
		'"protocol":"$server_protocol","status":$status,"service":"$proxy_host","endpoint":"$upstream_addr",'
		'"bytes_in":$request_length,"bytes_out":$bytes_sent,"body_out":$body_bytes_sent,'
		'"total_ms":$request_time,"connect_ms":$upstream_connect_time,"first_byte_ms":$upstream_header_time,'
		'"body_ms":$upstream_response_time,"user_agent":"$http_user_agent"}';
	access_log @dir@/access.log line buffer=64k flush=1s;
	map $request_id $span { "~^(?<half>.{16})" $half; }
	map $http_traceparent $trace { "" 00-$request_id-$span-01; default $http_traceparent; }
	server { listen 127.0.0.1:@metrics@; location = /metrics { stub_status; } }"""
NGINX_TRACE = "\n\t\tproxy_set_header traceparent $trace;"
HAPROXY_LOG = """log stdout len 2048 format raw local0 info
	http-request set-var(txn.id) uuid()
	http-request set-var(txn.host) req.hdr(host)
	http-request set-var(txn.path) path
	http-request set-var(txn.agent) req.hdr(user-agent)
	http-request set-var-fmt(txn.trace) "%[var(txn.id),bytes(0,8)]%[var(txn.id),bytes(9,4)]%[var(txn.id),bytes(14,4)]\
%[var(txn.id),bytes(19,4)]%[var(txn.id),bytes(24,12)]"
	http-request set-header traceparent "00-%[var(txn.trace)]-%[var(txn.trace),bytes(0,16)]-01" unless \
{ req.hdr(traceparent) -m found }
	log-format '{"time":"%tr","request_id":"%[var(txn.id)]","trace_id":"%[var(txn.trace)]","client":"%ci",\
"method":"%HM","scheme":"@scheme@","host":"%[var(txn.host),json]","path":"%[var(txn.path),json]",\
"protocol":"%HV","status":%ST,"service":"%b","endpoint":"%si:%sp","attempts":%rc,"bytes_in":%U,"bytes_out":%B,\
"total_ms":%Ta,"head_ms":%TR,"connect_ms":%Tc,"first_byte_ms":%Tr,"body_ms":%Td,\
"user_agent":"%[var(txn.agent),json]"}'"""
HAPROXY_METRICS = """frontend metrics
	bind 127.0.0.1:@metrics@
	http-request use-service prometheus-exporter"""

# Large bodies go through as they come, never to a file; nginx in buffers of 64 KiB, HAProxy by splice() and otherwise in
# its usual ones: what was best for each.
NGINX_BULK = """client_max_body_size 0;
		client_body_buffer_size 128k;
		proxy_request_buffering off;
		proxy_buffer_size 64k;
		proxy_buffers 8 64k;
		proxy_busy_buffers_size 128k;
		proxy_max_temp_file_size 0;"""
HAPROXY_BULK = """option splice-request
	option splice-response"""

ALL = '{ id = "all"; path = "/*"; service = "origin"; @route@ }'
PLAIN_LIMITS = 'map_size = "16M";'


def path_of(i, size):
    """Route i's; the last segment is the octets that the origin answers. requests.lua asks for the same."""
    return f"/api/v1/item{i}/{size}"


@cache
def gateway_routes(n, size):
    return ",\n\t".join(f'{{ id = "r{i}"; path = "{path_of(i, size)}"; service = "origin"; }}' for i in range(n))


def gateway_limits(n):
    return f'map_size = "1G"; routes = {2 * n};'


@cache
def nginx_locations(n, size):
    return "\n\t\t".join(f"location = {path_of(i, size)} {{ proxy_pass http://origin; }}" for i in range(n))


@cache
def haproxy_map(n, size):
    return "".join(f"{path_of(i, size)} back\n" for i in range(n))
