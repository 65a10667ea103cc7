// A hostile server: its clients come back from every call, with nothing touched but what they
// offered.
//
// The server writes anything into the links that it serves, at any time: answers that are none,
// lengths, error codes, asks for copies from anywhere, staging areas, the news that it has gone.
// The honest client, of another user, calls with a deadline and a grace; around each of its buffers
// stand bytes that nobody may change, and what it sends has to be the same afterwards. What a
// server may do is to give a wrong answer, or none, and so to cost its clients their deadline and
// grace; how long the slowest call took is printed.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <deque>

#include "absl/base/dynamic_annotations.h"
#include "kernel-sim/host/futex.h"
#include "kernel-sim/host/layout.h"
#include "kernel-sim/host/slot.h"
#include "tests/conformance/any_kernel.h"
#include "tests/core/drive.h"
#include "tests/hostile/evil.h"

namespace parley::host::tests {
namespace {

constexpr uint32_t kEvilUser = 1001, kHonestUser = 1002;
constexpr int kCalls = 400 / (PARLEY_TEST_SLOWDOWN > 1 ? 4 : 1);
constexpr absl::Duration kDeadline = absl::Milliseconds(5), kGrace = absl::Milliseconds(5);
constexpr size_t kGuard = 64;  // bytes on each side of a buffer
constexpr std::byte kGuardByte{0xa5}, kRequestByte{0x5a};

struct Facts {
  std::atomic<bool> over = false, lied = false;  // nobody sends, lies any more
  std::atomic<uint64_t> received = 0, replied = 0, failed = 0, refused = 0;
  std::atomic<int64_t> slowest_us = 0;
};

// -- The server

// Not that it has gone: that is believed, for good.
constexpr uint32_t kFlags = 0xff & ~kServerGone & ~3u;

void LieInSlot(Slot& slot, Staging& staging, Random& random) {
  const uint32_t sequence = SequenceOf(slot.request.load());
  switch (random() % 8) {
    case 0:
      slot.answer = MakeAnswer(sequence, Outcome(random() % 4), random() % 256 & kFlags);
      break;
    case 1:
      slot.answer = static_cast<uint32_t>(random()) & ~kServerGone;
      break;
    case 2:
      slot.reply_bytes = static_cast<uint32_t>(Tricky(random));
      break;
    case 3:
      slot.error = static_cast<uint8_t>(random());
      slot.kernel_error = static_cast<uint8_t>(random());
      break;
    case 4:
      slot.server_cpu = static_cast<uint16_t>(Tricky(random));
      slot.server_load = static_cast<uint8_t>(random() % 4);
      break;
    case 5:
      slot.taken = random() % 2 == 0 ? sequence : static_cast<uint32_t>(random());
      break;
    default:
      staging.ask = {Tricky(random) % 40'000, static_cast<uint32_t>(Tricky(random)),
                     static_cast<uint32_t>(random() % 2)};
      staging.turn = static_cast<uint32_t>(random() % 2 == 0 ? 1 : random() % 8);
      slot.answer.fetch_or(kCopyAsked);
  }
  if (random() % 4 == 0) FutexWake(slot.answer, 1, Sharing::kShared);
}

void Lie(Facts& facts, uint64_t seed) {
  // Its own process reads what it scribbles over: for once that is the point.
  ABSL_ANNOTATE_IGNORE_READS_AND_WRITES_BEGIN();
  Random random(seed);
  while (!facts.over) {
    for (const Range& range : SharedRanges("memfd:parley-link")) {
      Link& link = *reinterpret_cast<Link*>(range.address);
      for (int i = 0; i < 6; ++i) {
        const size_t slot = random() % kSlotsPerLink;
        LieInSlot(link.slots.at(slot), link.staging.at(slot), random);
      }
      link.unblock_pulse = static_cast<uint32_t>(random() % 2);
      link.no_spin = static_cast<uint32_t>(random() % 2);
      // That its channel is closed it does not say: then its name would be gone, for good.
    }
    usleep(static_cast<useconds_t>(random() % 1000));
  }
  ABSL_ANNOTATE_IGNORE_READS_AND_WRITES_END();
  facts.lied = true;
}

int ServeBadly(ipc::Process& self, Facts& facts, uint64_t seed) {
  // What a sanitizer says of its scribbling is nobody's concern.
  [[maybe_unused]] const int quiet = dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
  ipc::Channel channel = self.Attach("/evil", {.unblock_pulse = true}).value();
  ipc::Thread liar = self.Spawn({}, [&] { Lie(facts, seed + 1); }).value();
  Random random(seed);
  std::deque<ipc::Message> kept;
  const std::vector<std::byte> bytes(20'000);
  for (;;) {
    ipc::Received received = channel.Receive().value();
    if (received.message() == nullptr) continue;
    ++facts.received;
    ipc::Message message = std::move(*received.message());
    if (random() % 4 == 0) message.Write(random() % 20'000, bytes).status().IgnoreError();
    if (random() % 3 == 0)
      message.Reply(ipc::ConstBytes(bytes).first(random() % 20'000)).status().IgnoreError();
    if (message.open() && random() % 2 == 0) kept.push_back(std::move(message));
    if (kept.size() > 2) kept.pop_front();
  }
}

// -- The client

struct Guarded {
  Guarded(size_t size, std::byte fill) : bytes(size + 2 * kGuard, kGuardByte) {
    std::fill_n(bytes.begin() + kGuard, size, fill);
  }
  ipc::MutableBytes inside() {
    return ipc::MutableBytes(bytes).subspan(kGuard, bytes.size() - 2 * kGuard);
  }
  bool IsIntact() const {
    const auto is_guard = [](std::byte byte) { return byte == kGuardByte; };
    return std::all_of(bytes.begin(), bytes.begin() + kGuard, is_guard) &&
           std::all_of(bytes.end() - kGuard, bytes.end(), is_guard);
  }
  std::vector<std::byte> bytes;
};

int CallHonestly(ipc::Process& self, Facts& facts, uint64_t seed) {
  Random random(seed);
  // One connection for all: a link that went would be missed by whoever lies in it.
  const ipc::Connection to = self.Open("/evil", absl::Seconds(10)).value();
  for (int i = 0; i < kCalls; ++i) {
    Guarded request(random() % (random() % 2 == 0 ? 4097 : 20'000), kRequestByte);
    Guarded reply(random() % (random() % 2 == 0 ? 4097 : 20'000), std::byte{0});
    const int64_t begun = MonotonicNs();
    const auto sent =
        to.Send(request.inside(), reply.inside(), {.deadline = kDeadline, .grace = kGrace});
    facts.slowest_us = std::max<int64_t>(facts.slowest_us, (MonotonicNs() - begun) / 1000);
    ++(sent.ok() ? facts.replied : facts.failed);
    if (ipc::ErrorOf(sent.status()) == ipc::Error::kQuotaExhausted) ++facts.refused;
    CHECK(request.IsIntact());
    CHECK(reply.IsIntact());
    const ipc::MutableBytes same = request.inside();
    CHECK(std::all_of(same.begin(), same.end(), [](std::byte b) { return b == kRequestByte; }));
  }
  facts.over = true;
  // The link goes with its client: not while somebody writes into it.
  while (!facts.lied) self.Sleep(absl::Milliseconds(1)).IgnoreError();
  return 0;
}

TEST_CASE("a hostile server costs its clients their deadlines, and touches nothing of theirs") {
  if (geteuid() != 0) {
    MESSAGE("not run: only root starts processes as other users");
    return;
  }
  const uint64_t seed = ::tests::TestSeed();
  MESSAGE("PARLEY_TEST_SEED=" << seed);
  ::tests::InSharedMemory<Facts> facts;
  const parley::RunReport report = ::tests::RunAny(
      {{.name = "evil",
        .main = [&](ipc::Process& self) { return ServeBadly(self, *facts, seed); },
        .service = true,
        .uid = kEvilUser,
        .gid = kEvilUser},
       {.name = "honest",
        .main = [&](ipc::Process& self) { return CallHonestly(self, *facts, seed); },
        .uid = kHonestUser,
        .gid = kHonestUser}},
      parley::HostOptions{.limit_ns = 120'000'000'000});
  CHECK_FALSE(report.timed_out);
  for (const std::string& problem : report.problems) FAIL_CHECK(problem);
  for (const parley::ProcessReport& process : report.processes) {
    if (process.name == "honest") CHECK(process.exit.code == 0);
  }
  CHECK(facts->over);
  CHECK(facts->received > 0);
  MESSAGE(facts->replied.load() << " calls had an answer, " << facts->failed.load()
                                << " an error, of these " << facts->refused.load()
                                << " no slot; the slowest took " << facts->slowest_us.load()
                                << " us of " << absl::ToInt64Microseconds(kDeadline + kGrace));
}

}  // namespace
}  // namespace parley::host::tests
