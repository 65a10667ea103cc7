// Copies that a client serves: each transition of a staging area, and each side beside a partner
// that cheats, leaves, or does nothing.
#include "kernel-sim/host/link_copy.h"

#include <doctest/doctest.h>

#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "kernel-sim/host/slot.h"
#include "kernel-sim/host/staging.h"
#include "kernel-sim/refusals.h"

namespace parley::host {
namespace {

using Bytes = std::vector<std::byte>;

constexpr uint32_t kSequence = 1;

// A message that has been received, and what each side has of it.
struct Exchange {
  Exchange() {
    slot->request = MakeRequest(kSequence, Ask::kSent);
    slot->taken = kSequence;
  }

  absl::Status Read(uint64_t offset, MutableBytes destination) {
    return ReadThroughLink(copy, offset, destination.size(), MutableParts(&destination, 1));
  }
  absl::Status Write(uint64_t offset, ConstBytes source) {
    return WriteThroughLink(copy, offset, source.size(), ConstParts(&source, 1));
  }
  // The client, blocked in its send: serves until it is answered.
  void ServeAll(ConstParts request, MutableParts reply) {
    for (;;) {
      const uint32_t answer = slot->answer;
      if (IsAnswer(answer, kSequence)) return;
      if ((answer & kCopyAsked) != 0) ServeCopyAsk(*slot, *staging, request, reply);
      if (const uint32_t asleep = PrepareSleep(*slot, kSequence)) {
        FutexWait(slot->answer, asleep, kNever, Sharing::kShared);
      }
    }
  }
  void Finish() {
    if (Answer(*slot, kSequence, Outcome::kReplied, false).wake) {
      FutexWake(slot->answer, 1, Sharing::kShared);
    }
  }

  std::unique_ptr<Slot> slot = std::make_unique<Slot>();
  std::unique_ptr<Staging> staging = std::make_unique<Staging>();
  CopyTurns turns;
  std::atomic<int64_t> patience_ns{kCopyPatienceNs};
  Spinner spin{SpinBounds{}};
  absl::Status looked = absl::OkStatus();
  const std::function<absl::Status()> look = [this] { return looked; };
  const LinkCopy copy = {*slot, kSequence, *staging, turns, patience_ns, spin, look};
};

Bytes Random(size_t size, std::mt19937& random) {
  Bytes bytes(size);
  for (std::byte& byte : bytes) byte = std::byte(random());
  return bytes;
}

TEST_CASE("a staging area goes from turn to turn as drawn") {
  auto slot = std::make_unique<Slot>();
  auto staging = std::make_unique<Staging>();
  CopyAsk ask;
  for (const Ask nobody_waits : {Ask::kNothing, Ask::kLeft}) {
    slot->request = MakeRequest(kSequence, nobody_waits);
    CHECK_FALSE(AskCopy(*slot, kSequence, *staging, {0, 1, 0}).asked);
    CHECK(slot->answer == 0);
    CHECK_FALSE(TakeCopyAsk(*slot, *staging, ask));
  }
  slot->request = MakeRequest(kSequence, Ask::kSent);
  slot->answer = kClientLeft;  // it is about to say so
  CHECK_FALSE(AskCopy(*slot, kSequence, *staging, {0, 1, 0}).asked);
  slot->answer = 0;
  CHECK(PrepareSleep(*slot, kSequence) != 0);
  const Asked asked = AskCopy(*slot, kSequence, *staging, {7, 5, 1});
  CHECK(asked.asked);
  CHECK(asked.wake);
  CHECK(PrepareSleep(*slot, kSequence) == 0);  // there is something to look at
  CHECK(TakeCopyAsk(*slot, *staging, ask));
  CHECK(ask.offset == 7);
  CHECK(ask.length == 5);
  CHECK(ask.to_reply == 1);
  CHECK(slot->answer == 0);
  CHECK_FALSE(GiveBackTurn(*staging, Turn::kServed));  // nobody sleeps on it
  CHECK(PrepareTurnSleep(*staging) == 0);
  CHECK_FALSE(AskCopy(*slot, kSequence, *staging, {0, 1, 0}).wake);  // the client has looked up
  const uint32_t asleep = PrepareTurnSleep(*staging);
  CHECK(asleep == staging->turn);
  CHECK(PrepareTurnSleep(*staging) == asleep);
  CHECK(GiveBackTurn(*staging, Turn::kRefused));
  CHECK(staging->turn == static_cast<uint32_t>(Turn::kRefused));
  AskCopy(*slot, kSequence, *staging, {0, 1, 0});
  GiveUpCopy(*staging);
  CHECK_FALSE(GiveBackTurn(*staging, Turn::kServed));  // it comes too late
  CHECK(staging->turn == static_cast<uint32_t>(Turn::kNobody));
}

TEST_CASE("S5 a client serves reads and writes at any offset, across chunks and parts") {
  std::mt19937 random(5);
  Exchange exchange;
  const Bytes request = Random(3 * kStagingBytes + 77, random);
  Bytes reply(2 * kStagingBytes + 33), expected = reply;
  const std::vector<ConstBytes> sent = {{request.data(), 5},
                                        {request.data() + 5, 70'000},
                                        {request.data() + 70'005, request.size() - 70'005}};
  const std::vector<MutableBytes> room = {{reply.data(), 65'000},
                                          {reply.data() + 65'000, reply.size() - 65'000}};
  std::thread client([&] { exchange.ServeAll(sent, room); });
  for (int i = 0; i < 300; ++i) {
    const bool write = random() % 2 == 0;
    const size_t all = write ? reply.size() : request.size();
    const size_t offset = random() % all, length = random() % (all - offset) + 1;
    if (write) {
      const Bytes source = Random(length, random);
      CHECK(exchange.Write(offset, source).ok());
      std::copy(source.begin(), source.end(), expected.begin() + static_cast<ptrdiff_t>(offset));
    } else {
      Bytes destination(length);
      CHECK(exchange.Read(offset, absl::MakeSpan(destination)).ok());
      CHECK(std::equal(destination.begin(), destination.end(),
                       request.begin() + static_cast<ptrdiff_t>(offset)));
    }
  }
  exchange.Finish();
  client.join();
  CHECK(reply == expected);
}

TEST_CASE("L5 a client copies nothing but within the buffers of its send, whatever is asked for") {
  Exchange exchange;
  Bytes memory(300'000, std::byte{1});
  const ConstBytes request(memory.data() + 100'000, 1000);
  const MutableBytes reply(memory.data() + 200'000, 500);
  for (const CopyAsk& ask :
       {CopyAsk{1001, 0, 0}, CopyAsk{0, 1001, 0}, CopyAsk{1000, 1, 0}, CopyAsk{~uint64_t{0}, 2, 0},
        CopyAsk{~uint64_t{0} - 999, 1000, 0}, CopyAsk{501, 0, 1}, CopyAsk{0, 501, 7},
        CopyAsk{400, 101, 1}, CopyAsk{~uint64_t{0}, 1, 1}, CopyAsk{0, ~0u, 1},
        CopyAsk{0, kStagingBytes + 1, 0}}) {
    exchange.staging->bytes.fill(std::byte{9});
    CHECK(AskCopy(*exchange.slot, kSequence, *exchange.staging, ask).asked);
    ServeCopyAsk(*exchange.slot, *exchange.staging, {request}, {reply});
    CHECK(exchange.staging->turn == static_cast<uint32_t>(Turn::kRefused));
    CHECK(exchange.staging->bytes == std::array<std::byte, kStagingBytes>([] {
            std::array<std::byte, kStagingBytes> nines;
            nines.fill(std::byte{9});
            return nines;
          }()));
    CHECK(memory == Bytes(300'000, std::byte{1}));
  }
  // Asked for without its turn: not at all.
  exchange.slot->answer |= kCopyAsked;
  ServeCopyAsk(*exchange.slot, *exchange.staging, {request}, {reply});
  CHECK(exchange.staging->turn == static_cast<uint32_t>(Turn::kRefused));
  CHECK((exchange.slot->answer & kCopyAsked) == 0);
}

TEST_CASE("a client that does not serve is waited for within its bound, once for each message") {
  Exchange exchange;
  exchange.patience_ns = 40'000'000;
  Bytes bytes(10);
  CHECK(ErrorOf(exchange.Read(0, absl::MakeSpan(bytes))) == Error::kDeadline);
  CHECK(exchange.patience_ns == 20'000'000);
  CHECK(exchange.staging->turn == static_cast<uint32_t>(Turn::kNobody));
  // The second is not even asked for: it could not end but by serving.
  exchange.slot->answer = 0;
  exchange.patience_ns = kNever / 2;
  CHECK(ErrorOf(exchange.Write(0, bytes)) == Error::kDeadline);
  CHECK(exchange.slot->answer == 0);
  exchange.turns.unserved = false;  // the next message
  std::thread client([&] {
    const MutableBytes room = absl::MakeSpan(bytes);
    exchange.ServeAll({}, {room});
  });
  CHECK(exchange.Write(0, Bytes(10, std::byte{3})).ok());
  CHECK(exchange.patience_ns == kCopyPatienceNs);
  exchange.Finish();
  client.join();
}

TEST_CASE("D3 L2 a client that leaves or dies in the middle of a copy ends it") {
  Bytes bytes(10);
  {
    Exchange exchange;
    exchange.patience_ns = kNever / 2;
    std::thread client([&] {
      while ((exchange.slot->answer & kCopyAsked) == 0) std::this_thread::yield();
      CHECK(Leave(*exchange.slot, kSequence));
    });
    CHECK(ErrorOf(exchange.Read(0, absl::MakeSpan(bytes))) == Error::kMessageGone);
    client.join();
    CHECK(exchange.staging->turn == static_cast<uint32_t>(Turn::kNobody));
    CHECK_FALSE(HasLetGo(exchange.slot->answer, kSequence));
  }
  Exchange exchange;
  exchange.patience_ns = kNever / 2;
  exchange.looked = Refuse(Error::kMessageGone);
  CHECK(ErrorOf(exchange.Read(0, absl::MakeSpan(bytes))) == Error::kMessageGone);
}

TEST_CASE("a client that writes anything into its link ends each copy somehow, and soon") {
  Exchange exchange;
  exchange.patience_ns = 1'000'000;
  std::atomic<bool> over = false;
  std::thread client([&] {
    std::mt19937 random(3);
    while (!over) {
      exchange.staging->turn = random();
      exchange.slot->answer = random();
      if (random() % 64 == 0) exchange.slot->request = random();
      if (random() % 2 == 0) exchange.slot->request = MakeRequest(kSequence, Ask::kSent);
    }
  });
  Bytes bytes(200'000);
  int served = 0;
  for (int i = 0; i < 300; ++i) {
    exchange.turns.unserved = false;
    served += exchange.Read(0, absl::MakeSpan(bytes)).ok() ? 1 : 0;
    served += exchange.Write(0, bytes).ok() ? 1 : 0;
  }
  CHECK(served < 600);
  over = true;
  client.join();
}

}  // namespace
}  // namespace parley::host
