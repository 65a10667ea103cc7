// What the broker knows: peers, program sets, processes, channels, bells, connections, events,
// regions.
//
// Plain data with their invariants; the behaviour is in the files of Broker, one a subject. Each
// has the shares that it takes of its user's quotas: a share named as a thing is that thing's. All
// of them are owned by the Broker. A pointer between records is cleared by whoever ends the record
// pointed at. A descriptor here is the broker's own; what is sent is a duplicate.
#ifndef PARLEY_KERNEL_SIM_HOST_BROKER_OBJECTS_H_
#define PARLEY_KERNEL_SIM_HOST_BROKER_OBJECTS_H_

#include <bitset>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "kernel-sim/host/broker_quota.h"
#include "kernel-sim/host/fd.h"
#include "kernel-sim/host/layout.h"
#include "kernel-sim/host/ledger.h"
#include "kernel-sim/host/wire.h"

namespace parley::host {

// One socket, and the Linux process at its far end. Never reused.
enum class PeerId : uint64_t { kNone = 0 };

struct ProcessRecord;

// The programs of one launcher, and the processes that it has forked from them.
struct ProgramSet {
  UserQuota::Share share;
  PeerId launcher = PeerId::kNone;
  uint32_t uid = 0, gid = 0;  // the launcher's
  std::vector<std::string> programs;
  uint32_t adopts = 0;                        // still to come
  std::set<ProcessId> processes;              // those with a record, ended or not
  ProcessId name_server = ProcessId::kNone;   // from its spawn to its end
  ChannelId name_channel = ChannelId::kNone;  // from its join to its end
};

struct Rejoining;  // broker_rejoin.h
struct PeerRecord {
  static constexpr size_t kDescriptors = 3;  // its socket, its pidfd here and beside the socket
  PeerId id = PeerId::kNone;
  Far far = {};  // as Linux vouches for it
  UniqueFd pidfd;
  UserQuota::Share stranger, descriptors;
  std::unique_ptr<ProgramSet> set;       // of a launcher
  bool is_early = false;                 // its join waits for its launcher
  std::shared_ptr<Rejoining> rejoining;  // of a stranger that was a process of the last broker's
  ProcessRecord* process = nullptr;  // of one that has joined, or waits for the answer to its join
};

struct ProcessRecord {
  enum class Stage : uint8_t {
    kLaunched,  // has an id and may be granted things; its ticket is outstanding
    kWaiting,   // has asked to join; the answer waits for the name server
    kJoined,
    kEnded,  // holds nothing; the record waits for its exit status
  };
  UserQuota::Share share, argument_bytes;  // the launcher's user's
  ProcessId id = ProcessId::kNone;
  Stage stage = Stage::kLaunched;
  ProgramSet* set = nullptr;
  ProcessId maker = ProcessId::kNone;  // none: the launcher
  std::string name;
  std::string arguments;  // as they travel; empty once it has joined
  WireScheduling scheduling = {};
  int ceiling = kMaxPriority;
  uint32_t uid = 0, gid = 0;
  uint64_t region_quota_bytes = 0;
  uint64_t ticket = 0;       // kLaunched
  uint32_t spawn_call = 0;   // kLaunched: its maker's, to be answered once it is forked
  uint32_t adopted_pid = 0;  // kLaunched: of before the restart, and may rejoin
  bool is_name_server = false;
  bool killed = false;               // was asked for: its join will be refused
  PeerRecord* peer = nullptr;        // kWaiting, kJoined
  PeerId last_peer = PeerId::kNone;  // kEnded: which it was; one that has hung up and lives on
  UniqueFd pidfd;                    //   can still be killed
  UserQuota::Share descriptor;       //   of that pidfd
  uint32_t join_call = 0;            // kWaiting

  // kJoined: its shared pages, as the broker sees them, and what is written down of it.
  SharedMapping page, grants;
  std::shared_ptr<Ledger> ledger;
  std::vector<uint32_t> free_words;  // of `grants` below `words_used`
  uint32_t words_used = 0;
  absl::flat_hash_map<ProcessId, size_t> opened_events;  // of each process that has registered some
  int64_t searched_until_ns = 0;  // for circles of waits (broker_deadlock.cc)

  std::set<ChannelId> channels;    // its own
  std::set<uint32_t> connections;  // as a client
  std::set<RegionId> regions;      // its own
  size_t links = 0;                // of all its connections
  uint64_t region_bytes = 0;       // R1

  bool alive() const { return stage != Stage::kEnded; }
};

// The bell of one channel for the clients of one user; several when one is full.
struct BellRecord {
  static constexpr size_t kPlaces = kBellBits / kBitsPerLink;
  ~BellRecord() {
    if (in_use != nullptr) in_use->erase(number);
  }
  UserQuota::Share descriptors;  // the channel's owner's
  LedgerEntry entry;
  uint32_t number = 0;
  absl::flat_hash_set<uint32_t>* in_use = nullptr;  // where its number stands
  uint32_t uid = 0;
  UniqueFd memory, knocker;
  std::bitset<kPlaces> taken;
};

// Where a link rings: `kBitsPerLink` bits from `place * kBitsPerLink`.
struct BellPlace {
  BellRecord* bell = nullptr;
  uint32_t place = 0;
  uint32_t first_bit() const { return place * kBitsPerLink; }
};

struct ChannelRecord {
  UserQuota::Share share;
  LedgerEntry entry;
  ChannelId id = ChannelId::kNone;
  ProcessRecord* owner = nullptr;
  std::string name;
  std::vector<std::unique_ptr<BellRecord>> bells;
  std::set<uint32_t> connections;  // live ones to it
  std::set<uint64_t> events;       // registered on it
};

// What was lent of one region over one connection: by which capabilities, how far. A client may
// lend it by as many as it likes, so nothing here looks at all of them.
class LentBy {
 public:
  struct Right {
    bool write = false;
    LedgerEntry entry;
  };
  // For reading at least, while any is there.
  Rights rights() const {
    if (by_.empty()) return Rights::kNone;
    return writers_ == 0 ? Rights::kRead : Rights::kRead | Rights::kWrite;
  }
  // Whether Add would change something.
  bool Lacks(CapabilityId by, bool write) const {
    auto known = by_.find(by);
    return known == by_.end() || (write && !known->second.write);
  }
  // Never narrows.
  void Add(CapabilityId by, bool write, LedgerEntry entry) {
    Right& right = by_[by];
    if (write && !right.write) ++writers_;
    right.write |= write;
    right.entry = std::move(entry);
  }
  void Remove(CapabilityId by) {
    MakeReadOnly(by);
    by_.erase(by);
  }
  // REQUIRES: it is there.
  void MakeReadOnly(CapabilityId by) {
    if (std::exchange(by_.at(by).write, false)) --writers_;
  }
  const std::map<CapabilityId, Right>& capabilities() const { return by_; }

 private:
  std::map<CapabilityId, Right> by_;
  size_t writers_ = 0;
};

struct LentRegion {
  uint32_t number = 0;
  LentBy by;  // not empty
};

// One client process's way to one channel. Without a channel it is dead, and waits for its client
// to close it.
struct ConnectionRecord {
  UserQuota::Share share;
  uint32_t number = 0;
  ProcessRecord* client = nullptr;
  ChannelRecord* channel = nullptr;
  CapabilityId capability = CapabilityId::kNone;  // none: a process's first connection
  uint64_t badge = 0;
  int ceiling = kMaxPriority;
  size_t links = 0;                  // made, for the quota
  std::vector<BellPlace> places;     // of its links, while the channel lives
  std::vector<LedgerEntry> entries;  // of the same
  std::map<RegionId, LentRegion> lent;
};

// An event as registered (U4). Its owner is the channel's.
struct EventRecord {
  UserQuota::Share share, descriptor;
  LedgerEntry entry;
  uint64_t number = 0;
  ChannelRecord* channel = nullptr;
  ProcessRecord* target = nullptr;
  RegisterEvent spec = {};
  // Once opened:
  UniqueFd link;
  BellPlace place;
  uint32_t grant_word = 0;
  bool opened() const { return place.bell != nullptr; }
};

struct RegionRecord {
  UserQuota::Share descriptors;
  LedgerEntry entry;
  RegionId id = RegionId::kNone;
  ProcessRecord* owner = nullptr;
  CapabilityId root = CapabilityId::kNone;
  uint64_t bytes = 0;
  bool others_may_write = false;
  bool frozen = false;
  uint32_t owner_word = 0;
  uint64_t owner_value = 0;
  UniqueFd memory;
  UniqueFd renewed;            // to take its place at the commit
  bool was_reclaimed = false;  // by a commit of the last broker's, whose owner may not know it
};

// What rests on one capability, to end with it (R7).
struct GrantWord {
  uint32_t word = 0;
  LedgerEntry entry;  // but of a region's owner
};
struct Dependents {
  UserQuota::Share share;  // of the grant, its granter's
  LedgerEntry entry;       // the same
  ProcessRecord* holder = nullptr;
  std::set<uint32_t> connections;
  std::vector<GrantWord> grant_words;             // of its holder's page, one for each redeem
  std::set<std::pair<uint32_t, RegionId>> lends;  // connection and region
  uint64_t event = 0;
};

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_BROKER_OBJECTS_H_
