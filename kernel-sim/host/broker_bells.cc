// Bells, and which of their bits belong to which link.
#include "kernel-sim/core/check.h"
#include "kernel-sim/host/broker.h"
#include "kernel-sim/host/broker_memory.h"

namespace parley::host {

// `owner`: of the channel that it will belong to.
absl::StatusOr<std::unique_ptr<BellRecord>> Broker::MakeBell(const ProcessRecord& owner,
                                                             uint32_t uid) {
  auto descriptors = descriptors_.Take(owner.uid, 2);
  if (!descriptors.ok()) return descriptors.status();
  auto memory = MakeBrokerMemory("parley-bell", sizeof(Bell), FurtherSeals::kNone);
  if (!memory.ok()) return memory.status();
  auto knocker = MakeKnocker();
  if (!knocker.ok()) return knocker.status();
  auto bell = std::make_unique<BellRecord>();
  bell->number =
      bell_numbers_.Next([&](uint32_t number) { return bells_in_use_.contains(number); });
  bells_in_use_.insert(bell->number);
  bell->in_use = &bells_in_use_;
  bell->descriptors = *std::move(descriptors);
  bell->uid = uid;
  bell->memory = *std::move(memory);
  bell->knocker = *std::move(knocker);
  return bell;
}

// Where the next link of this user rings. `fresh` is then the bell, if the channel has to get a new
// one for it.
absl::StatusOr<BellPlace> Broker::FindPlace(const ChannelRecord& channel, uint32_t uid,
                                            std::unique_ptr<BellRecord>& fresh) {
  for (const auto& bell : channel.bells) {
    if (bell->uid != uid || bell->taken.all()) continue;
    uint32_t place = 0;
    while (bell->taken[place]) ++place;
    return BellPlace{bell.get(), place};
  }
  auto bell = MakeBell(*channel.owner, uid);
  if (!bell.ok()) return bell.status();
  fresh = *std::move(bell);
  return BellPlace{fresh.get(), 0};
}

void Broker::TakePlace(ChannelRecord& channel, const BellPlace& place,
                       std::unique_ptr<BellRecord> fresh) {
  PARLEY_CHECK(!place.bell->taken[place.place]);
  place.bell->taken.set(place.place);
  if (fresh == nullptr) return;
  Enter(channel, *fresh);
  channel.bells.push_back(std::move(fresh));
}

// The server ignores bits that it does not know, and looks at a new link once before it sleeps, so
// bits can be used again at once.
void Broker::FreePlaces(ConnectionRecord& connection) {
  for (const BellPlace& place : connection.places) place.bell->taken.reset(place.place);
  connection.places.clear();
  connection.entries.clear();
}

absl::Status Broker::AppendBell(const BellRecord& bell, Fds& fds) {
  auto memory = Duplicate(bell.memory);
  if (!memory.ok()) return memory.status();
  auto knocker = Duplicate(bell.knocker);
  if (!knocker.ok()) return knocker.status();
  fds.push_back(*std::move(memory));
  fds.push_back(*std::move(knocker));
  return absl::OkStatus();
}

}  // namespace parley::host
