// What a process of the last broker's has shown and claimed, until all have rejoined.
#ifndef PARLEY_KERNEL_SIM_HOST_BROKER_REJOIN_H_
#define PARLEY_KERNEL_SIM_HOST_BROKER_REJOIN_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "kernel-sim/host/broker_quota.h"
#include "kernel-sim/host/ledger.h"
#include "kernel-sim/host/wire_rejoin.h"

namespace parley::host {

struct Rejoining {
  std::shared_ptr<Ledger> ledger;  // opened: the head is proven
  SharedMapping page, grants;
  uint32_t call = 0;  // of its last claims, to be answered once all have rejoined; 0: more come

  size_t claimed = 0;
  size_t descriptor_count = 0;
  std::vector<UserQuota::Share> descriptors;  // of what the claims hold

  // By its own word; descriptors are compared with the ledger before they are used.
  struct Pair {
    UniqueFd first, second;
  };
  using Numbered = std::pair<uint64_t, uint32_t>;  // and the first bit, or the lend
  std::set<uint64_t> channels, grants_held;
  std::map<uint64_t, Pair> bells;    // memory, knocker
  std::map<uint64_t, Pair> regions;  // by capability: memory, renewed
  std::set<Numbered> links, served_links, served_lends;
  std::map<Numbered, UniqueFd> served_events;  // the link
};

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_BROKER_REJOIN_H_
