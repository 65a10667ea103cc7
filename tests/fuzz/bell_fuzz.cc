// A bell that one of the clients who share it writes anything into: bits of links that there are
// not, summaries without bits and bits without summaries, doors that are none.
//
// The input is steps: a write by the evil client, a request of its own, or a receive. Checked: no
// crash, what the receives return, and that an honest client of the same user, who rings there too,
// is served by a server that looks.
#include "tests/fuzz/rig.h"

namespace parley::host {
namespace {

void Write(Bell& bell, Input& input) {
  const uint8_t where = input.Byte();
  switch (where % 5) {
    case 0:
      bell.words.at(where / 5 % kBellWords) = input.Word();
      return;
    case 1:
      bell.summary = input.Word();
      return;
    case 2:
      bell.door = static_cast<uint32_t>(input.Word());
      return;
    case 3:
      bell.served_level = static_cast<uint32_t>(input.Word());
      return;
    default:
      return WriteAnywhere(reinterpret_cast<std::byte*>(&bell), sizeof(Bell), input);
  }
}

void Request(const Wire& wire, uint32_t index, Input& input) {
  Slot& slot = wire.link().slots[index];
  slot.request_bytes = input.Byte();
  slot.priority = input.Byte();
  host::Submit(slot, NextSequence(SequenceOf(slot.request)));
}

void Receive(Rig& rig) {
  ReceiveResult result;
  if (!rig.process().Receive(rig.channel(), {}, kPollNow, result).ok()) return;
  Rig::CheckReceived(result);
  if (!result.is_pulse) rig.process().MessageDrop(result.message);
}

void RunOne(Rig& rig, Input& input) {
  const Wire wire = rig.ConnectEvil();
  while (!input.empty()) {
    const uint8_t what = input.Byte();
    switch (what % 4) {
      case 0:
        Receive(rig);
        break;
      case 1:
        Ring(wire.bell(), (wire.first_bit + what / 4) % kBellBits);
        break;
      case 2:
        Request(wire, what / 4 % kSlotsPerLink, input);
        break;
      default:
        Write(wire.bell(), input);
    }
  }
  // What the evil one has left in the words rings for nobody, or is its own.
  rig.CheckHonest();
  rig.Disconnect(wire);
}

}  // namespace
}  // namespace parley::host

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  parley::host::Input input(data, size);
  parley::host::RunOne(parley::host::Rig::Get(), input);
  return 0;
}
