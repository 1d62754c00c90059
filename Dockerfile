# docker build -t krakend . && docker run --network=host -v krakend:/var/lib/krakend krakend --role=herd
FROM debian:bookworm AS build
WORKDIR /src
COPY packaging/deps.sh packaging/deps.sh
RUN packaging/deps.sh build
COPY . .
RUN cmake -S . -B /build -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DKRAKEND_TESTS=OFF \
    && cmake --build /build --target krakend \
    && DESTDIR=/image cmake --install /build --prefix /usr --strip

FROM debian:bookworm-slim
RUN apt-get -qq update \
    && apt-get -qq install -y --no-install-recommends \
       ca-certificates libcpp-httplib0.11 libfmt9 libisal2 libprometheus-cpp-core1.0 libre2-9 libspdlog1.10 libsqlite3-0 libssl3 libyaml-cpp0.7 \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o 65532 -g 65532 /var/lib/krakend
COPY --from=build /image/ /
USER 65532:65532
VOLUME /var/lib/krakend
ENTRYPOINT ["krakend"]
CMD ["--help"]
