#include "sim/liar.h"

#include <utility>

#include "krakend/core/hex.h"
#include "krakend/core/peer.h"
#include "p2p/message.h"
#include "support/take.h"

namespace krakend::sim {

Liar::Liar(Cluster& cluster, HostId host, const SimBlob& blob, MetaInfo info)
    : cluster_(cluster),
      host_(host),
      client_(cluster.make_client(host)),
      net_(cluster.network().attach(host)),
      info_(std::move(info)),
      lie_(~uint64_t{0} - host, blob.content->size()),
      id_(addr_hash_peer_id(cluster.network().ip(host), port)) {}

void Liar::start(io::Address tracker) {
  const io::Address at{cluster_.network().ip(host_), port};
  listener_ = test::take(net_->listen(at));
  cluster_.tasks().spawn(accept(), "liar");
  cluster_.tasks().spawn(announce(std::move(tracker)), "liar's announce");
}

Task<> Liar::announce(io::Address tracker) {
  const AnnounceRequest announce{
      info_.digest(), info_.info_hash(), {id_, cluster_.network().ip(host_), port, false, true}};
  while (true) {
    http::ClientRequest request;
    request.method = "POST";
    request.host = tracker;
    request.target = "/announce/" + info_.info_hash().hex();
    request.body = announce.json();
    (void)co_await client_->send(request);
    co_await cluster_.clock().sleep(2s);
  }
}

Task<> Liar::accept() {
  while (true) {
    auto stream = co_await listener_->accept();
    if (!stream) co_return;
    cluster_.tasks().spawn(serve(std::move(*stream)), "liar's peer");
  }
}

Task<> Liar::serve(io::StreamPtr stream) {
  auto hello = co_await p2p::read_message(*stream);
  if (!hello) co_return;
  const p2p::Handshake mine{
      info_.info_hash(), info_.digest(), id_, Bitfield(info_.piece_count(), true), "", {}};
  const std::string frame = p2p::encode_frame(mine);
  auto written = co_await stream->write(as_bytes(frame));
  const io::FilePtr file = file_of(lie_);
  while (written) {
    auto message = co_await p2p::read_message(*stream);
    if (!message) co_return;
    const auto* wanted = std::get_if<p2p::PieceRequest>(&*message);
    if (wanted == nullptr || wanted->index >= info_.piece_count()) continue;
    const uint64_t length = info_.piece_size(wanted->index);
    const std::string header =
        p2p::encode_frame(p2p::PiecePayload{wanted->index, 0, static_cast<uint32_t>(length)});
    written = co_await stream->write(as_bytes(header));
    if (written) written = co_await stream->send_file(file, info_.piece_offset(wanted->index), length);
    ++served_;
  }
}

}  // namespace krakend::sim
