// A link whose far end writes anything into it: a client's, read by the server's kernel calls, or a
// server's, read by the client's.
//
// The input is a byte that says which of the two is evil, then steps: a write by the evil one, or a
// kernel call of the other. Checked: no crash, what the calls return, that nothing outside a buffer
// is touched, and that an honest client is served afterwards.
#include <algorithm>
#include <deque>
#include <vector>

#include "tests/fuzz/rig.h"

namespace parley::host {
namespace {

// -- What the evil one writes

void WriteSlot(Slot& slot, Input& input, uint32_t lend) {
  switch (input.Byte() % 8) {
    case 0:
      slot.request =
          MakeRequest(SequenceOf(slot.request) + input.Byte() % 3, Ask(input.Byte() % 4));
      return;
    case 1:
      slot.request_bytes = static_cast<uint32_t>(input.Word());
      slot.reply_room = static_cast<uint32_t>(input.Word());
      return;
    case 2:
      slot.priority = static_cast<uint16_t>(input.Word());
      slot.thread = input.Byte();
      slot.sent_at = input.Word();
      slot.stamped = SequenceOf(slot.request);
      return;
    case 3: {
      slot.references = input.Byte() % 20;
      SharedReference& reference = slot.region.at(input.Byte() % slot.region.size());
      reference = {lend + input.Byte() % 2, input.Byte(), {}, input.Word(), input.Word()};
      return;
    }
    case 4:
      slot.request_parts = {input.Word(), input.Word()};
      slot.reply_parts = {input.Word(), input.Word()};
      return;
    case 5:  // as a server
      slot.answer = MakeAnswer(SequenceOf(slot.request) + input.Byte() % 2,
                               Outcome(input.Byte() % 4), input.Byte() & 0xfc);
      return;
    case 6:
      slot.reply_bytes = static_cast<uint32_t>(input.Word());
      slot.error = input.Byte();
      slot.kernel_error = input.Byte();
      slot.server_cpu = input.Byte();
      slot.server_load = input.Byte();
      return;
    default:
      slot.taken = SequenceOf(slot.request) + input.Byte() % 3;
  }
}

void WriteLane(LaneEntry& entry, Input& input) {
  entry.code = input.Byte();
  entry.priority = input.Byte();
  entry.value = input.Word();
  entry.sent_at = input.Word();
  entry.count = static_cast<uint32_t>(input.Word());
}

void WriteStaging(Staging& staging, Input& input) {
  staging.ask = {input.Word(), static_cast<uint32_t>(input.Word()), input.Byte()};
  staging.turn = input.Byte() % 8;
}

void Write(Link& link, Input& input, uint32_t lend) {
  const uint8_t where = input.Byte();
  const uint32_t slot = where / 8 % kSlotsPerLink;
  switch (where % 8) {
    case 0:
      return WriteLane(link.lane.entries.at(input.Byte() % link.lane.entries.size()), input);
    case 1:
      return WriteStaging(link.staging[slot], input);
    case 2:
      return WriteAnywhere(reinterpret_cast<std::byte*>(&link), offsetof(Link, staging), input);
    case 3:
      link.closed_by_server = where / 32;
      link.unblock_pulse = where / 64;
      return;
    default:
      return WriteSlot(link.slots[slot], input, lend);
  }
}

// -- The server of an evil client

class Server {
 public:
  explicit Server(Rig& rig) : rig_(rig), kernel_(rig.process()) {}
  // Nothing is kept beyond the input.
  ~Server() {
    for (const MessageHandle& message : kept_) kernel_.MessageDrop(message);
  }

  void Step(Input& input) {
    const uint8_t deed = input.Byte() % 9;
    if (deed >= 7) return Receive(input);
    if (kept_.empty()) return;
    const auto at = kept_.begin() + input.Byte() % static_cast<ptrdiff_t>(kept_.size());
    Handle(*at, deed, input);
    if (deed < 2) kept_.erase(at);
  }

 private:
  void Receive(Input& input) {
    std::vector<std::byte> bytes(input.Byte() * size_t{64});
    const MutableBytes buffer = absl::MakeSpan(bytes);
    ReceiveResult result;
    const absl::Status received =
        kernel_.Receive(rig_.channel(), MutableParts(&buffer, 1), kPollNow, result);
    if (!received.ok()) return;
    Rig::CheckReceived(result);
    if (!result.is_pulse) kept_.push_back(result.message);
  }
  void Handle(const MessageHandle& message, uint8_t deed, Input& input) {
    std::vector<std::byte> bytes(input.Byte() * size_t{64});
    const MutableBytes to = absl::MakeSpan(bytes);
    const ConstBytes from = bytes;
    switch (deed) {
      case 0:
        kernel_.Reply(message, ConstParts(&from, 1)).status().IgnoreError();
        return;
      case 1:
        kernel_.ReplyError(message, absl::StatusCode::kNotFound, "none").IgnoreError();
        return;
      case 2:
        if (auto moved = kernel_.MessageRead(message, input.Word(), MutableParts(&to, 1));
            moved.ok()) {
          PARLEY_CHECK(*moved <= bytes.size());
        }
        return;
      case 3:
        if (auto moved = kernel_.MessageWrite(message, input.Word(), ConstParts(&from, 1));
            moved.ok()) {
          PARLEY_CHECK(*moved <= bytes.size());
        }
        return;
      case 4:
        kernel_.MessageGetInfo(message).status().IgnoreError();
        return;
      default:
        return Touch(message, input.Byte() % 20);
    }
  }
  void Touch(const MessageHandle& message, uint32_t index) {
    kernel_.MessageLeaseDirection(message, index).status().IgnoreError();
    const auto lease = kernel_.MessageLease(message, index);
    if (!lease.ok()) return;
    PARLEY_CHECK(lease->length <= Rig::kLentBytes);
    if (*lease->live != lease->live_value || lease->length == 0) return;
    volatile std::byte last = lease->address[lease->length - 1];
    if (Includes(lease->rights, Rights::kWrite)) lease->address[0] = last;
  }

  Rig& rig_;
  Process& kernel_;
  std::deque<MessageHandle> kept_;
};

void FaceClient(Rig& rig, Input& input) {
  const Wire wire = rig.ConnectEvil();
  const uint32_t lend = rig.Lend(wire);
  {
    Server server(rig);
    while (!input.empty()) {
      const uint8_t what = input.Byte();
      if (what % 4 == 0) {
        server.Step(input);
      } else if (what % 4 == 1) {
        Ring(wire.bell(), wire.first_bit + what / 4 % kBitsPerLink);
      } else {
        Write(wire.link(), input, lend);
      }
    }
    rig.CheckHonest();
  }
  rig.Disconnect(wire);
}

// -- The client of an evil server

constexpr size_t kGuard = 64;
constexpr std::byte kUntouched{0xa5};

void Send(Process& kernel, ConnectionHandle connection, Input& input) {
  const std::vector<std::byte> sent(input.Byte() * size_t{20}, kUntouched);
  const size_t room = input.Byte() * size_t{20};
  std::vector<std::byte> memory(room + 2 * kGuard, kUntouched);
  const ConstBytes request = sent;
  const MutableBytes reply(memory.data() + kGuard, room);
  SendArguments arguments;
  arguments.request = ConstParts(&request, 1);
  arguments.reply = MutableParts(&reply, 1);
  arguments.deadline_ns = kernel.Now() + 20'000;
  arguments.grace_ns = 10'000;
  kernel.Send(connection, arguments).status().IgnoreError();
  const auto is_untouched = [](std::byte byte) { return byte == kUntouched; };
  PARLEY_CHECK(std::all_of(sent.begin(), sent.end(), is_untouched));
  PARLEY_CHECK(std::all_of(memory.begin(), memory.begin() + kGuard, is_untouched));
  PARLEY_CHECK(std::all_of(memory.end() - kGuard, memory.end(), is_untouched));
}

void FaceServer(Rig& rig, Input& input) {
  auto [connection, wire] = rig.ConnectToEvil();
  while (!input.empty()) {
    if (input.Byte() % 4 == 0) {
      Send(rig.process(), connection, input);
    } else {
      Write(wire.link(), input, 0);
    }
  }
  rig.process().Disconnect(connection);
  rig.CheckHonest();
}

}  // namespace
}  // namespace parley::host

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace parley::host;
  Input input(data, size);
  Rig& rig = Rig::Get();
  input.Byte() % 2 == 0 ? FaceClient(rig, input) : FaceServer(rig, input);
  return 0;
}
