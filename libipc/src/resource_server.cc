// The loop of a resource manager: messages in, answers out, and those that wait in between.
#include "libipc/src/resource_server.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

namespace ipc {

int ResourceManager::Server::Run(Process& self, absl::string_view path,
                                 std::shared_ptr<Node> root) {
  path_ = std::string(path);
  root_ = std::move(root);
  auto channel = self.Attach(path, {.unblock_pulse = true, .disconnect_pulse = true});
  if (!channel.ok()) {
    std::fprintf(stderr, "%s: %s\n", self.name().c_str(),
                 std::string(channel.status().message()).c_str());
    return 1;
  }
  for (;;) {
    auto received = channel->Receive();
    if (!received.ok()) return 0;  // the process is being ended
    if (const Pulse* pulse = received->pulse()) {
      OnPulse(*pulse);
    } else if (auto exchange = ResourceExchange::Parse(std::move(*received->message()));
               exchange.ok()) {
      Go(*std::move(exchange));
    }
    RetryWoken();
  }
}

void ResourceManager::Server::OnPulse(const Pulse& pulse) {
  if (pulse.code == Pulse::kDisconnect) return ForgetClient(static_cast<Client>(pulse.value));
  if (pulse.code != Pulse::kUnblock) return;
  auto at = std::find_if(blocked_.begin(), blocked_.end(), [&](const Blocked& blocked) {
    return blocked.exchange.message().id() == pulse.value;
  });
  if (at == blocked_.end()) return;  // answered meanwhile
  at->exchange.Fail(EINTR);
  at->exchange.Reply();
  blocked_.erase(at);
}

void ResourceManager::Server::Go(ResourceExchange exchange) {
  while (!exchange.done()) {
    const absl::Status performed = Perform(exchange);
    if (performed.ok()) continue;
    const int error = PosixErrorOf(performed);
    if (error == EAGAIN && waits_on_ != nullptr) {
      blocked_.push_back({std::move(exchange), std::move(waits_on_)});
      return;
    }
    exchange.Fail(error);
  }
  exchange.Reply();
}

// Those on a woken node, the highest priority first. Whoever waits again does so in its old place
// among its equals, since all of its node are tried.
void ResourceManager::Server::RetryWoken() {
  while (!woken_.empty()) {
    const std::vector<const Node*> woken = std::exchange(woken_, {});
    std::vector<Blocked> retried;
    for (auto at = blocked_.begin(); at != blocked_.end();) {
      if (std::find(woken.begin(), woken.end(), at->on.get()) == woken.end()) {
        ++at;
        continue;
      }
      retried.push_back(std::move(*at));
      at = blocked_.erase(at);
    }
    std::stable_sort(retried.begin(), retried.end(), [](const Blocked& a, const Blocked& b) {
      return a.exchange.message().info().priority > b.exchange.message().info().priority;
    });
    for (Blocked& blocked : retried) Go(std::move(blocked.exchange));
  }
}

// L2: its last connection is gone, and so are its waits.
void ResourceManager::Server::ForgetClient(Client client) {
  blocked_.remove_if([&](const Blocked& blocked) {
    return blocked.exchange.message().info().sender.id() == client;
  });
  for (auto at = files_.begin(); at != files_.end();) {
    if (at->second.client != client) {
      ++at;
      continue;
    }
    const std::shared_ptr<OpenFile> file = std::move(at->second.file);
    at = files_.erase(at);
    manager_.Close(*file);
  }
  files_of_.erase(client);
}

}  // namespace ipc
