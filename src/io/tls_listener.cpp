#include "io/tls_stream.h"

namespace krakend::io {
namespace {

class TlsListener final : public Listener {
 public:
  TlsListener(Loop& loop, std::unique_ptr<Listener> plain, std::shared_ptr<TlsServer> server)
      : state_(std::make_shared<State>(State{loop, std::move(plain), std::move(server)})) {}
  ~TlsListener() override { TlsListener::close(); }

  Task<Result<StreamPtr>> accept() override { return accept_on(state_); }
  const Address& local() const override { return state_->plain->local(); }
  void close() noexcept override { state_->plain->close(); }

 private:
  struct State {
    Loop& loop;
    std::unique_ptr<Listener> plain;
    std::shared_ptr<TlsServer> server;
  };
  static Task<Result<StreamPtr>> accept_on(std::shared_ptr<State> state) {
    auto accepted = co_await state->plain->accept();
    if (!accepted) co_return accepted;
    co_return std::make_shared<TlsStream>(state->loop, std::static_pointer_cast<TcpStream>(*accepted),
                                          state->server);
  }

  std::shared_ptr<State> state_;
};

}  // namespace

std::unique_ptr<Listener> make_tls_listener(Loop& loop, std::unique_ptr<Listener> plain,
                                            std::shared_ptr<TlsServer> server) {
  return std::make_unique<TlsListener>(loop, std::move(plain), std::move(server));
}

StreamPtr make_tls_stream(Loop& loop, StreamPtr plain, std::shared_ptr<TlsClient> client,
                          std::string_view host) {
  return std::make_shared<TlsStream>(loop, std::static_pointer_cast<TcpStream>(std::move(plain)), client,
                                     host);
}

}  // namespace krakend::io
