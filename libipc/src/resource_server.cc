// The loop of a resource manager: messages in, answers out, and those that wait in between.
#include "libipc/src/resource_server.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "libipc/src/resource_locks.h"

namespace ipc {

int ResourceServer::Run(Process& self, std::vector<Mount> mounts, const PoolOptions& options) {
  self_ = &self;
  mounts_ = mounts;
  std::sort(mounts_.begin(), mounts_.end(),
            [](const Mount& a, const Mount& b) { return a.path.size() > b.path.size(); });
  absl::Status served = Start(mounts);
  if (served.ok() && options.maximum > 1) {
    if (auto mutex = self.CreateMutex(); mutex.ok()) {
      tables_.emplace(*std::move(mutex));
    } else {
      served = mutex.status();
    }
  }
  if (served.ok()) {
    ThreadPool pool(self, options);
    served = pool.Run([this](const std::function<void()>& busy) { return Turn(busy); });
  }
  if (served.ok()) return 0;  // the process is being ended
  std::fprintf(stderr, "%s: %s\n", self.name().c_str(), std::string(served.message()).c_str());
  return 1;
}

absl::Status ResourceServer::Start(const std::vector<Mount>& mounts) {
  if (mounts.empty()) return PosixError(EINVAL, "a resource manager needs a name");
  auto channel =
      self_->CreateChannel(mounts.front().path, {.unblock_pulse = true, .disconnect_pulse = true});
  if (!channel.ok()) return channel.status();
  channel_.emplace(*std::move(channel));
  dispatcher_.emplace(*channel_);
  if (absl::Status started = manager_.OnStart(*self_, *channel_); !started.ok()) return started;
  for (const Mount& mount : mounts) {
    Adopt(*mount.root);
    if (absl::Status named = self_->AttachTo(*channel_, mount.path); !named.ok()) return named;
  }
  return absl::OkStatus();
}

bool ResourceServer::Turn(const std::function<void()>& busy) {
  auto next = dispatcher_->Wait();
  if (!next.ok()) return false;
  busy();
  if (Message* message = next->message()) {
    auto exchange = ResourceExchange::Parse(std::move(*message));
    if (exchange.ok()) Go(*std::move(exchange));
  } else if (const Pulse* pulse = next->pulse()) {
    OnPulse(*pulse);
  } else {
    manager_.OnReady(*next->ready());
  }
  Settle();
  return true;
}

void ResourceServer::OnPulse(const Pulse& pulse) {
  if (pulse.code == Pulse::kDisconnect) {
    ForgetClient(static_cast<Client>(pulse.value), static_cast<uint32_t>(pulse.badge));
  } else if (pulse.code == Pulse::kUnblock) {
    Unblock(pulse.value);
  } else {
    manager_.OnPulse(pulse);
  }
}

void ResourceServer::Go(Exchange exchange) {
  while (!exchange->done()) {
    const absl::Status performed = Perform(exchange);
    if (performed.ok()) continue;
    if (exchange == nullptr) return;  // deferred
    const int error = PosixErrorOf(performed);
    if (error != EAGAIN || exchange->waits_on == nullptr) {
      exchange->Fail(error);
    } else if (Block(exchange)) {
      return;
    }
  }
  exchange->Reply();
}

bool ResourceServer::Block(Exchange& exchange) {
  Tables tables(*this);
  std::shared_ptr<Node> node = std::move(exchange->waits_on);
  if (node->wakes_ != exchange->wakes_seen) return false;
  blocked_.push_back({std::move(exchange), std::move(node)});
  return true;
}

void ResourceServer::Unblock(uint64_t message) {
  Exchange exchange;
  {
    Tables tables(*this);
    auto at = std::find_if(blocked_.begin(), blocked_.end(), [&](const Blocked& blocked) {
      return blocked.exchange->message().id() == message;
    });
    if (at == blocked_.end()) return;  // answered meanwhile, or its device's to finish
    exchange = std::move(at->exchange);
    blocked_.erase(at);
  }
  exchange->Fail(EINTR);
  exchange->Reply();
}

void ResourceServer::Wake(const Node& node) {
  Tables tables(*this);
  ++const_cast<Node&>(node).wakes_;
  woken_.push_back(&node);
}

void ResourceServer::Finish(uint64_t call, absl::StatusOr<uint64_t> count) {
  Tables tables(*this);
  Pending& pending = pending_[call];
  pending.result.emplace(std::move(count));
  if (pending.begun()) finished_.push_back(call);
}

// Until nothing is left that an operation has set free.
void ResourceServer::Settle() {
  for (;;) {
    std::vector<const Node*> woken;
    std::optional<Pending> finished;
    {
      Tables tables(*this);
      woken = std::exchange(woken_, {});
      if (!finished_.empty()) {
        finished.emplace(std::move(pending_.extract(finished_.front()).mapped()));
        finished_.pop_front();
      }
    }
    if (woken.empty() && !finished) return;
    if (!woken.empty()) RetryWoken(woken);
    if (finished) EndDeferred(*std::move(finished));
  }
}

void ResourceServer::EndDeferred(Pending pending) {
  if (pending.together != nullptr) return EndPiece(std::move(pending));
  Exchange exchange = std::move(pending.exchange);
  if (pending.target.moves) {
    pending.target.file->moving_ = false;
    Wake(pending.target.file->node());
  }
  if (pending.result->ok()) {
    Advance(*exchange, pending.target, **pending.result, pending.into_reply);
  } else {
    exchange->Fail(PosixErrorOf(pending.result->status()));
  }
  Go(std::move(exchange));
}

// Those on a woken node, the highest priority first. Whoever waits again does so in its old place
// among its equals, since all of its node are tried.
void ResourceServer::RetryWoken(const std::vector<const Node*>& woken) {
  std::vector<Blocked> retried;
  {
    Tables tables(*this);
    for (auto at = blocked_.begin(); at != blocked_.end();) {
      if (std::find(woken.begin(), woken.end(), at->on.get()) == woken.end()) {
        ++at;
        continue;
      }
      retried.push_back(std::move(*at));
      at = blocked_.erase(at);
    }
  }
  std::stable_sort(retried.begin(), retried.end(), [](const Blocked& a, const Blocked& b) {
    return a.exchange->caller().priority > b.exchange->caller().priority;
  });
  for (Blocked& blocked : retried) Go(std::move(blocked.exchange));
  for (const Node* node : woken) NotifyOf(*node);
}

// Its open files whose clients asked to be told. An event that is gone is nobody's loss.
void ResourceServer::NotifyOf(const Node& node) {
  std::vector<std::shared_ptr<OpenFile>> asking;
  {
    Tables tables(*this);
    if (notifying_ == 0) return;
    for (const auto& [number, opened] : files_) {
      if (opened.file->notify_ != 0 && &opened.file->node() == &node) asking.push_back(opened.file);
    }
  }
  for (const std::shared_ptr<OpenFile>& file : asking) {
    Busy busy(*this, file->node());
    if ((manager_.Poll(*file) & file->notify_) == 0) continue;
    SetNotify(*file, 0);
    self_->Deliver(file->event_).IgnoreError();
  }
}

void ResourceServer::SetNotify(OpenFile& file, uint32_t wanted) {
  Tables tables(*this);
  notifying_ += (wanted != 0 ? 1 : 0) - (file.notify_ != 0 ? 1 : 0);
  file.notify_ = wanted;
}

// L2: all its connections up to that one are gone, and so are their waits and files. One that it
// has made since may be in use already.
void ResourceServer::ForgetClient(Client client, uint32_t newest_connection) {
  const auto is_gone = [&](uint32_t connection) {
    return static_cast<int32_t>(connection - newest_connection) <= 0;  // they may wrap
  };
  std::vector<Exchange> waits;
  std::map<uint32_t, std::shared_ptr<OpenFile>> files;
  {
    Tables tables(*this);
    for (auto at = blocked_.begin(); at != blocked_.end();) {
      const MessageInfo& caller = at->exchange->caller();
      const bool gone = caller.sender.id() == client && is_gone(caller.connection);
      if (gone) waits.push_back(std::move(at->exchange));
      at = gone ? blocked_.erase(at) : std::next(at);
    }
    for (auto at = files_.begin(); at != files_.end();) {
      const bool gone = at->second.client == client && is_gone(at->second.connection);
      if (gone) files.emplace(at->first, std::move(at->second.file));
      at = gone ? files_.erase(at) : std::next(at);
    }
    if (size_t& left = files_of_[client]; (left -= files.size()) == 0) files_of_.erase(client);
  }
  for (const auto& [number, file] : files) Release(*file, number);
}

// Taken out of files_ already.
void ResourceServer::Release(OpenFile& file, uint32_t number) {
  Busy busy(*this, file.node());
  SetNotify(file, 0);
  if (file.node().locks_ != nullptr && file.node().locks_->ClearFile(number)) Wake(file.node());
  manager_.Close(file);
}

}  // namespace ipc
