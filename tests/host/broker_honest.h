// Two processes that keep to the protocol, and to whom every call has to succeed, whatever others
// do meanwhile.
#ifndef PARLEY_TESTS_HOST_BROKER_HONEST_H_
#define PARLEY_TESTS_HOST_BROKER_HONEST_H_

#include <algorithm>
#include <vector>

#include "tests/core/drive.h"
#include "tests/host/broker_rig.h"

namespace parley::host::tests {

class HonestPair {
 public:
  HonestPair(BrokerRig& rig, uint32_t uid)
      : rig_(rig), server_(rig.Start("server", {.uid = uid})), client_(rig.Start("client", {uid})) {
    channel_ = Ask<MadeChannel>(server_, MakeChannel{}, "honest").channel;
    back_ = Ask<MadeChannel>(client_, MakeChannel{}).channel;
  }

  // One thing that they do together, or take back.
  void Step(::tests::Choices& choices) {
    if (connections_.empty() || (connections_.size() < kMost && choices.Below(4) == 0)) {
      return Connect();
    }
    if (regions_.empty() || (regions_.size() < kMost && choices.Below(4) == 0)) {
      const auto made = Ask<RegionMade>(client_, MakeRegion{2 * kPageBytes, 1, 0});
      return regions_.push_back({made.capability, false});
    }
    const size_t connection = choices.Below(static_cast<uint32_t>(connections_.size()));
    const size_t region = choices.Below(static_cast<uint32_t>(regions_.size()));
    switch (choices.Below(6)) {
      case 0:
        Ask<Done>(client_, Disconnect{connections_[connection]});
        connections_.erase(connections_.begin() + static_cast<ptrdiff_t>(connection));
        return;
      case 1:
        Ask<Done>(client_, CloseRegion{regions_[region].capability});
        regions_.erase(regions_.begin() + static_cast<ptrdiff_t>(region));
        return;
      case 2:
        Ask<LendMade>(client_,
                      Lend{regions_[region].capability, connections_[connection], Rights::kRead});
        return;
      case 3:
        return Share(regions_[region], choices);
      case 4:
        return Renew(regions_[region], choices);
      default:
        return Signal(connections_[connection]);
    }
  }
  // Neither lost nor killed, nor let go of.
  bool AreWell() const {
    for (const Actor* actor : {&server_, &client_}) {
      const auto& killed = rig_.outlet.killed;
      if (rig_.outlet.dropped.contains(actor->peer)) return false;
      if (std::find(killed.begin(), killed.end(), actor->peer) != killed.end()) return false;
    }
    return true;
  }
  void Leave() {
    rig_.broker.OnGone(server_.peer);
    rig_.broker.OnGone(client_.peer);
  }

 private:
  static constexpr size_t kMost = 4;  // connections, and regions
  struct Region {
    CapabilityId capability;
    bool frozen;
  };

  // Without a look at the invariants, for speed.
  template <typename Answer, WireStruct T>
  Answer Ask(const Actor& actor, const T& body, std::string_view tail = {}) {
    rig_.broker.OnPacket(actor.peer, Packet::Of(++calls_, body, tail));
    const Packet answer = rig_.TakeAnswer(actor.peer, calls_);
    if (!answer.As<Answer>()) FAIL("an honest call was refused: " << BrokerRig::TextOf(answer));
    return *answer.As<Answer>();
  }
  void Connect() {
    const Token token =
        Ask<TokenMade>(server_, GrantChannel{channel_, client_.process, 1, 100, Rights::kConnect})
            .token;
    connections_.push_back(Ask<Connected>(client_, host::Connect{token}).connection);
    Ask<Connected>(client_, Extend{connections_.back()});
  }
  void Share(const Region& region, ::tests::Choices& choices) {
    const Rights rights = Rights::kRead;
    const Token token = Ask<TokenMade>(client_, GrantRegion{region.capability, server_.process,
                                                            rights, 0, kPageBytes})
                            .token;
    const auto redeemed = Ask<RegionMade>(server_, Redeem{token});
    if (rig_.Word(server_, redeemed.grant_word) != redeemed.grant_value) FAIL("a word is wrong");
    if (choices.Below(2) == 0) {
      Ask<Done>(client_, Revoke{token});
    } else {
      Ask<Done>(server_, CloseRegion{redeemed.capability});
    }
    if (rig_.Word(server_, redeemed.grant_word) != 0) FAIL("a word outlives its grant");
  }
  void Renew(Region& region, ::tests::Choices& choices) {
    if (region.frozen) return;
    Ask<RegionMade>(client_, RenewRegion{region.capability});
    region.frozen = choices.Below(4) == 0;
    Ask<Done>(client_, CommitRegion{region.capability, region.frozen, 0});
  }
  // An event there and back, and gone.
  void Signal(uint32_t connection) {
    const Token token =
        Ask<TokenMade>(client_, RegisterEvent{back_, connection, 1, 1, 10, 0, 5}).token;
    Ask<OpenedEvent>(server_, OpenEvent{token});
    Ask<Done>(client_, Revoke{token});
  }

  BrokerRig& rig_;
  Actor server_, client_;
  ChannelId channel_ = ChannelId::kNone, back_ = ChannelId::kNone;
  std::vector<uint32_t> connections_;
  std::vector<Region> regions_;
  uint32_t calls_ = 0;
};

}  // namespace parley::host::tests

#endif  // PARLEY_TESTS_HOST_BROKER_HONEST_H_
