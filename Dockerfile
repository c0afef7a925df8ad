# The operator as an image: one file of JavaScript, and Node. Built by `make image`, or by any builder of Dockerfiles.
#
# BUILD_IMAGE installs the packages and bundles: Node 20 or newer with npm and a shell. BASE_IMAGE is what the operator runs on: glibc 2.28 or
# newer, libstdc++ and certificates; it needs no shell. Both can be given by digest.
ARG BUILD_IMAGE=docker.io/library/node:26-bookworm-slim
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:latest

FROM --platform=$BUILDPLATFORM ${BUILD_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
# Where packages come from a registry of your own: --secret id=npmrc,src=$HOME/.npmrc
RUN --mount=type=secret,id=npmrc,target=/run/npmrc NPM_CONFIG_USERCONFIG=/run/npmrc npm ci --loglevel=error
COPY tsconfig.json LICENSE ./
COPY dev/tools dev/tools
COPY src src
RUN node_modules/.bin/node dev/tools/bundle.ts
# The Node that the lockfile pins, for the platform of the image.
ARG TARGETARCH
RUN --mount=type=secret,id=npmrc,target=/run/npmrc \
    cpu=$(node -p "({ amd64: 'x64' })['${TARGETARCH}'] ?? ('${TARGETARCH}' || process.arch)") && \
    mkdir runtime && cp package.json package-lock.json .npmrc runtime && cd runtime && \
    NPM_CONFIG_USERCONFIG=/run/npmrc npm ci --loglevel=error --omit=dev --os=linux --cpu="$cpu" && \
    mkdir -p /image/usr/bin /image/licenses && cp "node_modules/node-linux-$cpu/bin/node" /image/usr/bin/node && \
    cp "node_modules/node-linux-$cpu/LICENSE" /image/licenses/node
# Started by its first line, so that no shell is needed; /manager is how manifests for the Go operator call it.
RUN { echo '#!/usr/bin/node --optimize-for-size'; cat dist/keyturn.js; } >/image/keyturn && \
    chmod 755 /image/keyturn /image/usr/bin/node && ln -s keyturn /image/manager && \
    cp LICENSE /image/licenses/keyturn && cp dist/licenses.txt /image/licenses/packages

# Node needs libatomic, which a base for C++ need not have; of the platform of the image.
FROM ${BUILD_IMAGE} AS libraries

FROM ${BASE_IMAGE}
COPY --from=libraries /usr/lib/*-linux-gnu/libatomic.so.1 /usr/lib/
COPY --from=build /image/ /
# The inspector cannot be opened by a signal. The other flag of Node stands in the first line of /keyturn: this variable takes it not.
ENV NODE_OPTIONS=--disable-sigusr1
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["/keyturn"]
ARG VERSION
ARG REVISION
ARG CREATED
ARG SOURCE
LABEL org.opencontainers.image.title="Keyturn" \
      org.opencontainers.image.description="Kubernetes operator that keeps Secrets equal to 1Password items and rolls the workloads that consume them" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"
