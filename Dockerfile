# Two images from one usual base:
#   docker build --target toolchain -t bpflab-toolchain .    the LLVM BPF toolchain that builds progs/
#   docker build -t bpflab .                                 bpflab itself, for instance:
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" bpflab inspect my.bpf.o
# Debian trixie: its clang (19) knows cpu v4, its Node.js (20.19) is new enough, and both get Debian's updates.
ARG BASE=debian:trixie-slim

FROM ${BASE} AS toolchain
ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
 && apt-get install -y --no-install-recommends clang llvm lld libbpf-dev linux-libc-dev libc6-dev bpftool make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /progs
CMD ["make", "check"]

FROM ${BASE} AS build
ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
 && apt-get install -y --no-install-recommends nodejs npm ca-certificates \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/bpflab
COPY package.json package-lock.json ./
# The build comes when the sources are there; npm would start it (prepare) right after installing.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM ${BASE} AS bpflab
ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
 && apt-get install -y --no-install-recommends nodejs \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/bpflab
COPY --from=build /opt/bpflab/package.json ./
COPY --from=build /opt/bpflab/node_modules node_modules
COPY --from=build /opt/bpflab/dist dist
COPY progs progs
WORKDIR /work
USER nobody
ENTRYPOINT ["node", "/opt/bpflab/dist/cli/main.js"]
