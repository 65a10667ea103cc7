// Looking at a system through its broker.
#include "kernel-sim/look.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <cstring>
#include <string_view>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "kernel-sim/core/errors.h"
#include "kernel-sim/host/packet.h"
#include "kernel-sim/host/service.h"

namespace parley {
namespace host {
namespace {

constexpr timeval kPatience = {2, 0};  // with a broker's answer
constexpr uint32_t kServesMore = ~uint32_t{0};

// Another process's claim, for a terminal.
std::string Printable(std::string_view text) {
  std::string printable(text.substr(0, text.find('\0')));
  for (char& letter : printable) {
    if (letter < 0x20 || letter > 0x7e) letter = '?';
  }
  return printable;
}

SeenThread Understand(ProcessId process, const LookedThread& looked) {
  SeenThread thread;
  thread.process = process;
  thread.number = looked.id;
  thread.tid = looked.tid;
  if (looked.state < static_cast<uint8_t>(ThreadState::kDead)) {
    thread.state = static_cast<ThreadState>(looked.state);
  }
  thread.base = looked.base;
  thread.effective = looked.effective;
  thread.name = Printable({looked.name, sizeof(looked.name)});
  thread.since = looked.since;
  thread.blocked_on = looked.blocked_on;
  thread.server = looked.server;
  thread.channel = looked.channel;
  thread.channel_name = Printable({looked.channel_name, sizeof(looked.channel_name)});
  for (uint32_t served : looked.serves) {
    if (served == kServesMore) {
      thread.serves_more = true;
    } else if (served != 0) {
      thread.serves.push_back(ChannelId{served});
    }
  }
  return thread;
}

absl::StatusOr<Packet> Ask(const UniqueFd& broker, const Look& look) {
  if (absl::Status sent = SendPacket(broker, Packet::Of(1, look)); !sent.ok()) return sent;
  auto answer = ReceivePacket(broker);
  if (!answer.ok()) return answer;
  if (const auto failed = answer->As<Failed>()) {
    return MakeError(static_cast<Error>(failed->error), answer->Tail<Failed>());
  }
  return answer;
}

// Adds one answer's process and threads; where to look next, no process at the end.
absl::StatusOr<Look> Add(const Packet& answer, SeenSystem& system) {
  const auto looked = answer.As<Looked>();
  if (!looked || answer.Tail<Looked>().size() / sizeof(LookedThread) < looked->threads) {
    return MakeError(Error::kWrongType, "the broker's answer makes no sense");
  }
  Look next = {kWireVersion, ProcessId::kNone, 0};
  if (looked->process == ProcessId::kNone) return next;
  std::string_view tail = answer.Tail<Looked>();
  for (uint32_t i = 0; i < looked->threads; ++i) {
    LookedThread thread;
    std::memcpy(&thread, tail.data(), sizeof(thread));
    tail.remove_prefix(sizeof(thread));
    system.threads.push_back(Understand(looked->process, thread));
  }
  if (system.processes.empty() || system.processes.back().id != looked->process) {
    system.processes.push_back({looked->process, looked->pid, looked->uid, looked->launcher_pid,
                                looked->ceiling, looked->name_server != 0, Printable(tail)});
  }
  next.process = looked->process;
  next.entry = looked->next_entry;
  if (next.entry == 0) next.process = ProcessId{Raw(looked->process) + 1};
  return next;
}

absl::StatusOr<SeenSystem> LookOnce(const UniqueFd& broker) {
  SeenSystem system;
  absl::StatusOr<Look> look = Look{kWireVersion, ProcessId{1}, 0};
  while (look->process != ProcessId::kNone) {
    const auto answer = Ask(broker, *look);
    if (!answer.ok()) return answer.status();
    look = Add(*answer, system);
    if (!look.ok()) return look.status();
  }
  FindWaits(system);
  return system;
}

// Whether every thread of the circle is in the same wait in the other picture.
bool IsIn(const SeenSystem& system, const std::vector<size_t>& circle, const SeenSystem& other) {
  const auto key = [](const SeenThread& thread) {
    return std::tuple(thread.process, thread.number, thread.state, thread.since, thread.blocked_on);
  };
  for (size_t member : circle) {
    bool found = false;
    for (const SeenThread& thread : other.threads) {
      found |= key(thread) == key(system.threads[member]);
    }
    if (!found) return false;
  }
  return true;
}

}  // namespace
}  // namespace host

absl::StatusOr<SeenSystem> LookAt(const std::string& address) {
  auto broker = host::ConnectToBroker(address);
  if (!broker.ok()) return broker.status();
  setsockopt(broker->get(), SOL_SOCKET, SO_RCVTIMEO, &host::kPatience, sizeof(host::kPatience));
  auto system = host::LookOnce(*broker);
  if (!system.ok() && ErrorOf(system.status()) == Error::kDeadline) {
    return MakeError(Error::kDeadline, absl::StrCat("the broker at ", address, " has not answered ",
                                                    "for ", host::kPatience.tv_sec, " s"));
  }
  if (!system.ok() || system->circles.empty()) return system;
  const auto again = host::LookOnce(*broker);
  if (!again.ok()) return again;
  std::erase_if(system->circles, [&](const std::vector<size_t>& circle) {
    return !host::IsIn(*system, circle, *again);
  });
  return system;
}

}  // namespace parley
