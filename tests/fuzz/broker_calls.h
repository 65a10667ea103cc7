// The calls that the broker's fuzzer makes: a sensible body of each kind, and where in it something
// stands that the broker has to know.
#ifndef PARLEY_TESTS_FUZZ_BROKER_CALLS_H_
#define PARLEY_TESTS_FUZZ_BROKER_CALLS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel-sim/host/broker.h"

namespace parley::host {

enum class Field : uint8_t { kToken, kProcess, kChannel, kConnection, kCapability, kTicket };

// Where in a body something stands that the broker has to know.
struct Place {
  size_t offset;
  Field field;
};

struct Shape {
  Packet packet;  // a sensible one
  std::vector<Place> places;
};

template <WireStruct T>
Shape ShapeOf(const T& body, std::vector<Place> places = {}, std::string_view tail = {}) {
  return {Packet::Of(0, body, tail), std::move(places)};
}

inline constexpr Rights kReadWrite = Rights::kRead | Rights::kWrite;
inline constexpr WireScheduling kScheduling = {0, 10, 4'000'000, 0, 0, 1, 8};
inline constexpr std::string_view kSpawnTail{"program\0name\0argument\0", 22};

inline std::vector<Shape> MakeShapes() {
  std::vector<Shape> shapes;
  shapes.push_back(ShapeOf(Join{kWireVersion, 0, 0}, {{offsetof(Join, ticket), Field::kTicket}}));
  shapes.push_back(ShapeOf(BecomeLauncher{kWireVersion}, {}, kSpawnTail));
  shapes.push_back(ShapeOf(Spawn{kScheduling, 100, 0, 0, 0, 0, 0, 1 << 20}, {}, kSpawnTail));
  shapes.push_back(ShapeOf(Kill{}, {{offsetof(Kill, process), Field::kProcess}}));
  shapes.push_back(ShapeOf(Exited{}, {{offsetof(Exited, process), Field::kProcess}}, "gone"));
  shapes.push_back(ShapeOf(MakeChannel{}, {}, "channel"));
  shapes.push_back(
      ShapeOf(DestroyChannel{}, {{offsetof(DestroyChannel, channel), Field::kChannel}}));
  shapes.push_back(ShapeOf(GrantChannel{{}, {}, 1, 200, Rights::kConnect | Rights::kGrant},
                           {{offsetof(GrantChannel, channel), Field::kChannel},
                            {offsetof(GrantChannel, holder), Field::kProcess}}));
  for (const Rights rights : {Rights::kConnect, Rights::kRead, kReadWrite | Rights::kGrant}) {
    shapes.push_back(
        ShapeOf(Delegate{{}, {}, rights}, {{offsetof(Delegate, token), Field::kToken},
                                           {offsetof(Delegate, holder), Field::kProcess}}));
  }
  shapes.push_back(ShapeOf(Revoke{}, {{offsetof(Revoke, token), Field::kToken}}));
  shapes.push_back(ShapeOf(Connect{}, {{offsetof(Connect, token), Field::kToken}}));
  shapes.push_back(ShapeOf(Extend{}, {{offsetof(Extend, connection), Field::kConnection}}));
  shapes.push_back(ShapeOf(Disconnect{}, {{offsetof(Disconnect, connection), Field::kConnection}}));
  shapes.push_back(ShapeOf(RegisterEvent{{}, 0, 1, 1, 10, 0, 5},
                           {{offsetof(RegisterEvent, channel), Field::kChannel},
                            {offsetof(RegisterEvent, connection), Field::kConnection}}));
  shapes.push_back(ShapeOf(OpenEvent{}, {{offsetof(OpenEvent, token), Field::kToken}}));
  shapes.push_back(ShapeOf(FindDeadlock{ThreadId{1}}));
  shapes.push_back(ShapeOf(MakeRegion{2 * kPageBytes, 1, 0}));
  shapes.push_back(ShapeOf(GrantRegion{{}, {}, kReadWrite | Rights::kGrant, 0, kPageBytes},
                           {{offsetof(GrantRegion, capability), Field::kCapability},
                            {offsetof(GrantRegion, holder), Field::kProcess}}));
  shapes.push_back(ShapeOf(Redeem{}, {{offsetof(Redeem, token), Field::kToken}}));
  shapes.push_back(
      ShapeOf(Lend{{}, 0, kReadWrite}, {{offsetof(Lend, capability), Field::kCapability},
                                        {offsetof(Lend, connection), Field::kConnection}}));
  shapes.push_back(
      ShapeOf(RenewRegion{}, {{offsetof(RenewRegion, capability), Field::kCapability}}));
  for (const uint32_t freeze : {0, 1}) {
    shapes.push_back(ShapeOf(CommitRegion{{}, freeze, 0},
                             {{offsetof(CommitRegion, capability), Field::kCapability}}));
  }
  shapes.push_back(
      ShapeOf(CloseRegion{}, {{offsetof(CloseRegion, capability), Field::kCapability}}));
  shapes.push_back(ShapeOf(TurnAway{}, {{offsetof(TurnAway, connection), Field::kConnection}}));
  return shapes;
}

}  // namespace parley::host

#endif  // PARLEY_TESTS_FUZZ_BROKER_CALLS_H_
