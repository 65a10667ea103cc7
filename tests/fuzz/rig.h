// A process of the host kernel in the fuzzer itself, a real broker, and raw far ends: an evil one,
// whose links and bells the input writes into, and an honest one, to whom all has to succeed.
//
// Kernel calls are made by the fuzzer's one thread, and what the evil one writes comes between two
// of them, so that a run depends on nothing but its input. The evil one is a child of its own as
// far as Linux knows: what is copied from and to its memory touches nothing of the fuzzer's.
#ifndef PARLEY_TESTS_FUZZ_RIG_H_
#define PARLEY_TESTS_FUZZ_RIG_H_

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernel-sim/core/check.h"
#include "kernel-sim/host/bell.h"
#include "kernel-sim/host/broker_loop.h"
#include "kernel-sim/host/child.h"
#include "kernel-sim/host/process.h"
#include "kernel-sim/host/service.h"
#include "kernel-sim/host/slot.h"
#include "tests/fuzz/input.h"
#include "tests/host/guest.h"

namespace parley::host {

inline constexpr uint64_t kEvilBadge = 7, kHonestBadge = 8;
inline constexpr int kEvilCeiling = 100;

// One far end's view of a connection.
struct Wire {
  uint32_t connection = 0;
  uint32_t first_bit = 0;
  SharedMapping link_memory, bell_memory;
  Link& link() const { return *link_memory.As<Link>(); }
  Bell& bell() const { return *bell_memory.As<Bell>(); }
};

class Rig {
 public:
  // Lives as long as the fuzzer.
  static Rig& Get() {
    static Rig& rig = *new Rig();
    return rig;
  }

  Process& process() { return *process_; }
  ChannelHandle channel() const { return channel_; }

  // A new connection of the evil one to the process's channel.
  Wire ConnectEvil() { return ConnectAs(*evil_, evil_token_); }
  // Nothing of it is left.
  void Disconnect(const Wire& wire) {
    PARLEY_CHECK(evil_->Ask<Done>(host::Disconnect{wire.connection}).has_value());
    Settle();
    Drain();
  }
  // The number of a lend of two pages to the process, over this connection.
  uint32_t Lend(const Wire& wire) {
    const auto lent = evil_->Ask<LendMade>(
        host::Lend{capability_, wire.connection, Rights::kRead | Rights::kWrite});
    PARLEY_CHECK(lent.has_value());
    Settle();
    return lent->lend;
  }
  static constexpr uint64_t kLentBytes = 2 * kPageBytes;

  // A new connection of the process to the evil one's channel, and how that sees it.
  std::pair<ConnectionHandle, Wire> ConnectToEvil() {
    const ConnectionHandle handle =
        process_->Connect(token_to_evil_, ChannelHandle::kNone, 0).value();
    const auto attached = evil_->Notice<Attached>();
    PARLEY_CHECK(attached.has_value());
    Wire wire = {
        attached->connection, attached->first_bit, Map(evil_->last.fds[0], sizeof(Link)), {}};
    return {handle, std::move(wire)};
  }

  // One message of the honest client, through whatever else is queued.
  void CheckHonest() {
    Slot& slot = honest_.link().slots[0];
    const uint32_t sequence = NextSequence(SequenceOf(slot.request));
    const uint64_t number = ++honest_number_;
    slot.request_bytes = sizeof(number);
    slot.reply_room = sizeof(number);
    slot.references = 0;
    slot.priority = kMaxPriority;
    std::memcpy(slot.bytes.data(), &number, sizeof(number));
    if (host::Submit(slot, sequence)) Ring(honest_.bell(), honest_.first_bit);
    Stamp(slot, sequence, Ticks());
    for (int i = 0; i < kMostQueued && !IsAnswer(slot.answer, sequence); ++i) ServeOne();
    PARLEY_CHECK(IsAnswer(slot.answer, sequence) && OutcomeOf(slot.answer) == Outcome::kReplied);
    PARLEY_CHECK(std::memcmp(slot.short_reply.data(), &number, sizeof(number)) == 0);
  }

  // Checks what a receive has said of the evil client, or of nobody.
  static void CheckReceived(const ReceiveResult& result) {
    if (result.is_pulse) {
      const bool from_kernel = result.pulse.code == Raw(KernelPulse::kUnblock) ||
                               result.pulse.code == Raw(KernelPulse::kDisconnect);
      PARLEY_CHECK(result.pulse.code <= kMaxProgramPulseCode || from_kernel);
      PARLEY_CHECK(from_kernel || result.pulse.priority <= kEvilCeiling);
      return;
    }
    const MessageInfo& info = result.info;
    PARLEY_CHECK(info.badge == kEvilBadge || info.badge == kHonestBadge);
    PARLEY_CHECK(info.badge == kHonestBadge || info.priority <= kEvilCeiling);
    PARLEY_CHECK(info.priority >= kMinPriority && info.region_count <= kMaxRegionReferences);
    PARLEY_CHECK(info.request_bytes <= kMaxMessageBytes && info.reply_room <= kMaxMessageBytes);
  }

 private:
  static constexpr int kMostQueued = 256;  // of slots and lane of the evil one
  static constexpr uint8_t Raw(KernelPulse pulse) { return static_cast<uint8_t>(pulse); }
  static SharedMapping Map(const UniqueFd& memory, size_t bytes) {
    return MapShared(memory, bytes, /*writable=*/true).value();
  }

  Rig();
  UniqueFd ConnectFromChild() const;
  uint64_t NewTicket(ProcessId& process) {
    PARLEY_CHECK(launcher_->Spawn("program").has_value());
    const auto launch = launcher_->Notice<Launch>();
    PARLEY_CHECK(launch.has_value());
    process = launch->process;
    return launch->ticket;
  }
  Wire ConnectAs(tests::Guest& guest, const Token& token) {
    const auto connected = guest.Ask<Connected>(host::Connect{token});
    PARLEY_CHECK(connected.has_value());
    const Fds& fds = guest.last.fds;
    Wire wire = {connected->connection, connected->first_bit, Map(fds[0], sizeof(Link)),
                 Map(fds[1], sizeof(Bell))};
    Settle();
    return wire;
  }
  // What the broker has said to the process so far, its agent has heard: answers keep the order.
  void Settle() { process_->TokenRevoke({}).IgnoreError(); }

  // Receives one thing; the honest client gets its bytes back, others nothing.
  bool ServeOne() {
    uint64_t number = 0;
    const MutableBytes buffer(reinterpret_cast<std::byte*>(&number), sizeof(number));
    ReceiveResult result;
    if (!process_->Receive(channel_, MutableParts(&buffer, 1), kPollNow, result).ok()) return false;
    CheckReceived(result);
    if (result.is_pulse) return true;
    const ConstBytes reply(reinterpret_cast<std::byte*>(&number),
                           result.info.badge == kHonestBadge ? sizeof(number) : 0);
    process_->Reply(result.message, ConstParts(&reply, 1)).status().IgnoreError();
    return true;
  }
  void Drain() {
    int served = 0;
    while (ServeOne()) PARLEY_CHECK(++served < kMostQueued);
  }

  std::string address_;
  std::unique_ptr<tests::Guest> launcher_, evil_, honest_guest_;
  std::unique_ptr<Process> process_;
  Farewell farewell_ = {};
  Program program_ = {"program", nullptr};
  ChannelHandle channel_ = ChannelHandle::kNone;
  Token evil_token_, token_to_evil_;
  CapabilityId capability_ = CapabilityId::kNone;
  Wire honest_;
  uint64_t honest_number_ = 0;
};

// Where real-time priorities are permitted, a fuzzer at one would leave nobody else a CPU.
inline void GiveUpPriorities() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, sets) != 0) return;
  sets[0].effective &= ~(1u << CAP_SYS_NICE);
  sets[0].permitted &= ~(1u << CAP_SYS_NICE);
  syscall(SYS_capset, &header, sets);
}

// A connection whose peer, as Linux vouches for it, is a child that does nothing.
inline UniqueFd Rig::ConnectFromChild() const {
  int ends[2];
  PARLEY_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
  const UniqueFd here(ends[0]), there(ends[1]);
  if (fork() == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    Packet packet = Packet::Of(0, Done{});
    packet.fds.push_back(ConnectTo(address_));
    PARLEY_CHECK(SendPacket(there, packet).ok());
    for (;;) pause();
  }
  auto packet = ReceivePacket(here);
  PARLEY_CHECK(packet.ok() && packet->fds.size() == 1);
  return std::move(packet->fds[0]);
}

inline Rig::Rig() : address_(absl::StrCat("parley-fuzz-", getpid())) {
  GiveUpPriorities();
  UniqueFd listener = Listen(address_);
  PARLEY_CHECK(listener.valid());
  if (fork() == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(RunBroker(std::move(listener)));
  }
  listener.Reset();
  launcher_ = std::make_unique<tests::Guest>(ConnectTo(address_));
  PARLEY_CHECK(
      launcher_->Ask<Done>(BecomeLauncher{kWireVersion}, JoinTail({"program"})).has_value());
  ProcessId evil, honest, own;
  evil_ = std::make_unique<tests::Guest>(ConnectFromChild());
  PARLEY_CHECK(evil_->Join(NewTicket(evil)).has_value());
  honest_guest_ = std::make_unique<tests::Guest>(ConnectTo(address_));
  PARLEY_CHECK(honest_guest_->Join(NewTicket(honest)).has_value());

  ProcessStart start;
  start.ticket = NewTicket(own);
  start.broker_address = address_;
  start.broker_listener = ListenerOf(launcher_->socket());
  start.program = &program_;
  start.farewell = &farewell_;
  process_ = std::make_unique<Process>(std::move(start));
  PARLEY_CHECK(process_->Join().ok());
  channel_ = process_->ChannelCreate({.unblock_pulse = true, .disconnect_pulse = true}).value();
  evil_token_ =
      process_->ChannelGrant(channel_, evil, kEvilBadge, kEvilCeiling, Rights::kConnect).value();
  honest_ = ConnectAs(
      *honest_guest_,
      process_->ChannelGrant(channel_, honest, kHonestBadge, kMaxPriority, Rights::kConnect)
          .value());
  capability_ = evil_->Ask<RegionMade>(MakeRegion{kLentBytes, 1, 0})->capability;
  const ChannelId channel = evil_->Ask<MadeChannel>(MakeChannel{}, "evil")->channel;
  auto grant = GrantChannel{channel, own, 0, kMaxPriority, Rights::kConnect};
  token_to_evil_ = evil_->Ask<TokenMade>(grant)->token;
}

// Writes a byte or a word anywhere into shared memory.
inline void WriteAnywhere(std::byte* memory, size_t bytes, Input& input) {
  size_t at = input.Byte();
  at = (at << 8 | input.Byte()) * 4 % (bytes - sizeof(uint64_t));
  const uint64_t word = input.Word();
  std::memcpy(memory + at, &word, input.Byte() % 2 == 0 ? 4 : 8);
}

}  // namespace parley::host

#endif  // PARLEY_TESTS_FUZZ_RIG_H_
