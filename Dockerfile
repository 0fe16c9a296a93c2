# A host of podwire in a container. The image is a release on a small Debian:
#
#     ./scripts/release podwire.tar.gz
#     docker build -t podwire .
#
# It plays the host that it runs on, so it gets that host's network, and what pods are made of; nothing else:
#
#     docker run --network host --device /dev/net/tun \
#       --cap-add NET_ADMIN --cap-add NET_RAW --cap-add SYS_ADMIN --cap-add SYS_PTRACE \
#       --security-opt systempaths=unconfined --security-opt apparmor=unconfined \
#       podwire agent --node NAME …
#
# NET_ADMIN: links, addresses, rules, routes. NET_RAW (which Docker gives anyway): ICMP and captures. SYS_ADMIN: the namespaces
# of pods and the mounts in them, which is also what AppArmor would forbid. SYS_PTRACE: entering a pod. systempaths: it
# writes to /proc/sys/net (Podman: unmask=ALL). Pods live in the container and end with it, other than with the systemd unit.
# `podwire server` needs none of this, but a published port and a volume for --data.
#
# BASE: any Debian or Ubuntu with apt, or one in which the programs below are there already.
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS release
ADD podwire.tar.gz /
# What only a host with systemd or a reader needs stays behind.
RUN mv /podwire-* /opt/podwire && cd /opt/podwire && rm -rf systemd docs examples README.md scripts/install \
  && sed -i '1s|.*|#!/opt/podwire/bin/node|' scripts/podwire

FROM ${BASE}
RUN for program in ip ethtool nsenter unshare mount ping ps curl; do command -v $program >/dev/null || missing=yes; done; \
  [ -z "$missing" ] || { apt-get update && apt-get install -y --no-install-recommends \
    iproute2 ethtool util-linux mount iputils-ping procps curl && rm -rf /var/lib/apt/lists/*; }
COPY --from=release /opt/podwire /opt/podwire
ENV PATH=/opt/podwire/scripts:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENTRYPOINT ["podwire"]
CMD ["--help"]
