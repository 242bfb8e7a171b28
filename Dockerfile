# The image holds one static binary and the public certificate authorities: no shell, no package manager, no libc to patch.
# Bases are pinned by version; a build that must be reproducible pins them by digest as well.
FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY . .
# glibc, not musl: its resolver knows what a cluster's DNS does. With crt-static, Cargo must be told the target, or it
# would build procedural macros static too, which rustc cannot load.
ENV RUSTFLAGS="-C target-feature=+crt-static"
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    target="$(rustc --print host-tuple)" \
    && cargo build --profile dist --locked --bin vestibule --target "$target" \
    && cp "target/$target/dist/vestibule" /vestibule \
    && install -d -m 0700 /state/vestibule

FROM scratch
LABEL org.opencontainers.image.title="Vestibule" \
      org.opencontainers.image.description="Single sign-on in front of the services you already expose" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /vestibule /usr/bin/vestibule
# A volume mounted at /var/lib/vestibule takes its owner and mode from this folder, where `serve` keeps the session keys.
COPY --from=build --chown=65532:65532 /state/ /var/lib/
# Memory that was freed goes back after 10 ms instead of a second: a tenth less for a large cluster, and no slower.
ENV MIMALLOC_PURGE_DELAY=10
# A number, so that runAsNonRoot can be judged without a password file. Nothing is ever written to the root file system.
USER 65532:65532
EXPOSE 4180 4181 9090
ENTRYPOINT ["/usr/bin/vestibule"]
