// The name server (N1 to N5): answers the messages of ipc/name_protocol.h out of a Registry.
//
// It holds a connection to every named channel, whose death pulse takes the name away (N3). Opens
// that wait are messages kept unanswered; an unblock pulse answers one whose client gives up (D3).
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "ipc/name_protocol.h"
#include "ipc/process.h"
#include "ipc/world.h"
#include "servers/nameserver/registry.h"

namespace nameserver {
namespace {

using ipc::Message;
namespace names = ipc::names;

class Server {
 public:
  explicit Server(ipc::Process& self, ipc::Channel channel)
      : self_(self), channel_(std::move(channel)) {}

  int Run() {
    for (;;) {
      absl::StatusOr<ipc::Received> received = channel_.Receive();
      if (!received.ok()) return 1;
      if (Message* message = received->message()) {
        OnMessage(*message);
      } else {
        OnPulse(*received->pulse());
      }
    }
  }

 private:
  struct Waiting {
    Message message;
    names::OpenRequest request;
  };
  // A table of what clients asked for has a bound; past it they get ResourceExhausted.
  static constexpr size_t kMaxWatchers = 4096;
  struct Watcher {
    uint32_t process;
    std::string prefix;
    ipc::EventToken event;
  };
  struct Served {
    ipc::Token token;
    ipc::Connection connection;  // for its death pulse
  };

  static Caller CallerOf(const Message& message) {
    return {message.info().uid, message.info().gid};
  }

  void OnMessage(Message& message) {
    if (message.Is<names::AttachRequest>()) return OnAttach(message);
    if (message.Is<names::WatchRequest>()) return OnWatch(message);
    if (message.Is<names::ListRequest>()) return OnList(message);
    auto request =
        message.As<names::OpenRequest>();  // the last one it can be: a stranger is refused here
    if (request.ok()) OnOpen(std::move(message), *request);
  }

  void OnPulse(const ipc::Pulse& pulse) {
    if (pulse.code == ipc::Pulse::kUnblock) {
      std::erase_if(waiting_, [&](Waiting& waiting) {
        if (waiting.message.id() != pulse.value) return false;
        Refuse(waiting.message, absl::NotFoundError("nobody served this name in time"));
        return true;
      });
    } else if (pulse.code == ipc::Pulse::kDeath) {
      const std::string path = registry_.Detach(pulse.value);
      served_.erase(pulse.value);
      if (!path.empty()) TellWatchers(path, 0);
    } else if (pulse.code == ipc::Pulse::kDisconnect) {
      std::erase_if(watchers_, [&](const Watcher& watcher) {
        return watcher.process == pulse.value;  // L2: its client has ended
      });
    }
  }

  void OnAttach(Message& message) {
    auto request = message.As<names::AttachRequest>();
    if (!request.ok()) return;
    const std::string path(request->path.Get());
    if (absl::Status allowed = registry_.CheckAttach(path, CallerOf(message)); !allowed.ok()) {
      return Refuse(message, allowed);
    }
    const uint64_t id = registry_.Attach(path, CallerOf(message), request->mode).value();
    auto connection =
        self_.Connect(request->channel, path, ipc::OpenOptions{.death = &channel_, .cookie = id});
    if (!connection.ok()) {
      registry_.Detach(id);
      return Refuse(message, connection.status());
    }
    served_.emplace(id, Served{request->channel, *std::move(connection)});
    message.Reply(names::Done{});
    std::vector<Waiting> waiting = std::exchange(waiting_, {});
    for (Waiting& open : waiting) OnOpen(std::move(open.message), open.request);
    TellWatchers(path, 1);
  }

  void OnOpen(Message message, const names::OpenRequest& request) {
    absl::StatusOr<Registry::Match> match =
        registry_.Resolve(request.path.Get(), CallerOf(message));
    if (absl::IsNotFound(match.status()) && request.wait != 0) {
      waiting_.push_back({std::move(message), request});
      return;
    }
    if (!match.ok()) return Refuse(message, match.status());
    auto token = self_.DelegateConnect(served_.at(match->name.id).token, message.info().sender);
    if (absl::IsResourceExhausted(token.status())) return Refuse(message, token.status());
    if (!token.ok()) return Refuse(message, absl::NotFoundError("its server has just ended"));
    message.Reply(names::OpenReply{*token, static_cast<uint32_t>(match->matched)});
  }

  void OnWatch(Message& message) {
    auto request = message.As<names::WatchRequest>();
    if (!request.ok()) return;
    const std::string prefix(request->prefix.Get());
    if (absl::Status valid = prefix == "/" ? absl::OkStatus() : CheckPath(prefix); !valid.ok()) {
      return Refuse(message, valid);
    }
    if (watchers_.size() >= kMaxWatchers) {
      return Refuse(message,
                    absl::ResourceExhaustedError("the watches that are possible are used"));
    }
    watchers_.push_back({message.info().sender.id(), prefix, request->event});
    message.Reply(names::Done{});
  }

  void OnList(Message& message) {
    auto request = message.As<names::ListRequest>();
    if (!request.ok()) return;
    names::ListReply reply;
    reply.path.Set(registry_.NextAfter(request->prefix.Get(), request->after.Get()));
    message.Reply(reply);
  }

  // A watcher whose event is gone (its process or channel is) is forgotten; one that is full misses
  // this pulse.
  void TellWatchers(absl::string_view path, uint64_t value) {
    std::erase_if(watchers_, [&](const Watcher& watcher) {
      if (!IsAtOrBelow(path, watcher.prefix)) return false;
      const absl::Status told = self_.Deliver(watcher.event, value);
      return !told.ok() && ipc::ErrorOf(told) != ipc::Error::kQuotaExhausted;
    });
  }

  static void Refuse(Message& message, const absl::Status& why) { message.ReplyError(why); }

  ipc::Process& self_;
  ipc::Channel channel_;
  Registry registry_;
  absl::flat_hash_map<uint64_t, Served> served_;  // by the name's id
  std::vector<Waiting> waiting_;                  // in order of arrival
  std::vector<Watcher> watchers_;
};

}  // namespace
}  // namespace nameserver

namespace ipc {

int RunNameServer(Process& self) {
  absl::StatusOr<Channel> channel = self.TakeNameServiceChannel();
  if (!channel.ok()) return 1;
  return nameserver::Server(self, *std::move(channel)).Run();
}

}  // namespace ipc
