// Peer: iceoryx, requests and responses in shared memory. Either end looks for them busily, or
// sleeps in a WaitSet.
#include <atomic>
#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "iceoryx_posh/popo/untyped_client.hpp"
#include "iceoryx_posh/popo/untyped_server.hpp"
#include "iceoryx_posh/popo/user_trigger.hpp"
#include "iceoryx_posh/popo/wait_set.hpp"
#include "iceoryx_posh/runtime/posh_runtime.hpp"
#include "tests/bench/payload.h"
#include "tests/bench/peer.h"
#include "tests/bench/process.h"
#include "tests/bench/roudi.h"

namespace parley_bench {
namespace {

constexpr uint32_t kAlignment = 16;
constexpr int kConnectMs = 5'000;

// How often to look before letting others run: always where no other needs the CPU, not at all
// where the other end does.
uint64_t Looks(Placement placement) {
  if (placement == Placement::kTwoCores) return UINT64_MAX;
  return placement == Placement::kSameCore ? 0 : 1'000;
}

// How one end waits for what comes in at its port.
class Waiter {
 public:
  template <typename Port, typename Event>
  Waiter(const Setup& setup, bool busy, Port& port, Event event) : looks_(Looks(setup.placement)) {
    if (busy) return;
    auto fail = [](auto) { Fatal("iceoryx: nothing can be attached to a WaitSet"); };
    set_.emplace();
    set_->attachEvent(port, event).or_else(fail);
    set_->attachEvent(stop_).or_else(fail);
  }

  // Before looking again; `looked` in vain so often.
  void Wait(uint64_t looked) {
    if (set_.has_value()) {
      set_->wait();
    } else if (looked >= looks_) {
      std::this_thread::yield();
    }
  }

  // From any thread: ends a Wait.
  void Stop() { stop_.trigger(); }

 private:
  const uint64_t looks_;
  std::optional<iox::popo::WaitSet<2>> set_;
  iox::popo::UserTrigger stop_;
};

void EnterRuntime(const std::string& name) {
  SilenceIceoryx();
  iox::runtime::PoshRuntime::initRuntime(
      iox::RuntimeName_t(iox::cxx::TruncateToCapacity, name.c_str()));
}

iox::capro::ServiceDescription Service() { return {"parley", "bench", "echo"}; }

class IceoryxPeer : public Peer {
 public:
  IceoryxPeer(const Setup& setup, bool busy, std::unique_ptr<RouDi> roudi)
      : setup_(setup), busy_(busy), roudi_(std::move(roudi)) {}

  void Serve(const std::function<void()>& ready) override {
    sigset_t end;
    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    sigaddset(&end, SIGINT);
    sigprocmask(SIG_BLOCK, &end, nullptr);  // in the library's threads too
    EnterRuntime(setup_.address + "-server");
    iox::popo::UntypedServer server(Service());
    Waiter waiter(setup_, busy_, server, iox::popo::ServerEvent::REQUEST_RECEIVED);
    std::atomic<bool> stop = false;
    // Killed, it would leave its socket behind.
    std::jthread ender([&] {
      int signal = 0;
      sigwait(&end, &signal);
      stop = true;
      waiter.Stop();
    });
    ready();
    for (uint64_t looked = 0; !stop.load(std::memory_order_relaxed); ++looked) {
      waiter.Wait(looked);
      while (Answer(server)) looked = 0;
    }
  }

  void Connect(int client) override {
    EnterRuntime(absl::StrCat(setup_.address, "-client-", client));
    client_.emplace(Service());
    auto connected = [&] {
      return client_->getConnectionState() == iox::ConnectionState::CONNECTED;
    };
    const absl::Status status = WaitUntil({}, connected, kConnectMs, 1);
    if (!status.ok()) Fatal("iceoryx: the client finds no server");
    waiter_.emplace(setup_, busy_, *client_, iox::popo::ClientEvent::RESPONSE_RECEIVED);
  }

  uint64_t Call(uint64_t number) override {
    auto request = client_->loan(static_cast<uint32_t>(setup_.bytes), kAlignment);
    if (request.has_error()) Fatal("iceoryx: no memory for a request");
    Fill(request.value(), setup_.bytes, number);
    client_->send(request.value()).or_else([](auto) { Fatal("iceoryx: send of a request"); });
    for (uint64_t looked = 0;; ++looked) {
      waiter_->Wait(looked);
      auto response = client_->take();
      if (response.has_error()) continue;
      const uint64_t sum = SumInReply(response.value());
      client_->releaseResponse(response.value());
      return sum;
    }
  }

  void Disconnect() override {
    waiter_.reset();
    client_.reset();
  }

 private:
  // False: there was no request.
  bool Answer(iox::popo::UntypedServer& server) const {
    auto request = server.take();
    if (request.has_error()) return false;
    const void* data = request.value();
    auto response =
        server.loan(iox::popo::RequestHeader::fromPayload(data), sizeof(Reply), kAlignment);
    if (response.has_error()) Fatal("iceoryx: no memory for a response");
    new (response.value()) Reply{.sum = Sum(data, setup_.bytes)};
    server.releaseRequest(data);
    // To a client that has ended, nothing can be sent.
    server.send(response.value()).or_else([](auto) {});
    return true;
  }

  const Setup setup_;
  const bool busy_;
  std::unique_ptr<RouDi> roudi_;
  // The client's.
  std::optional<iox::popo::UntypedClient> client_;
  std::optional<Waiter> waiter_;
};

PeerKind Kind(const char* name, bool busy) {
  return {.name = name,
          .fan_in = true,
          .make = [busy](const Setup& setup) -> absl::StatusOr<std::unique_ptr<Peer>> {
            auto roudi = RouDi::Start(setup);
            if (!roudi.ok()) return roudi.status();
            return std::make_unique<IceoryxPeer>(setup, busy, *std::move(roudi));
          }};
}

}  // namespace

PeerKind IceoryxBusy() { return Kind("peer/iceoryx-busy", true); }

PeerKind IceoryxWaitSet() { return Kind("peer/iceoryx-waitset", false); }

}  // namespace parley_bench
