// What the broker has written down of one process, in memory that outlives the broker: the process
// holds a descriptor of it that only reads, and shows it to the broker that comes next.
//
// It begins with a head that is sealed with a key which only brokers of one launcher have, and
// which names by their inodes this memory and the process's pages; so nobody makes a ledger, and
// nobody shows another's or a copy. Behind it stand entries, each of one thing that the process has
// made, granted or connected to, from when the broker has made it until it ends it. Only brokers
// write them. A broker that is killed leaves each entry whole or free.
#ifndef PARLEY_KERNEL_SIM_HOST_LEDGER_H_
#define PARLEY_KERNEL_SIM_HOST_LEDGER_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "kernel-sim/core/bounds.h"
#include "kernel-sim/core/capability.h"
#include "kernel-sim/core/ids.h"
#include "kernel-sim/host/fd.h"
#include "kernel-sim/host/wire.h"

namespace parley::host {

// Drawn by the launcher, in its memory and its brokers' alone.
using LedgerKey = std::array<uint8_t, 32>;

// -- What stands in it

struct LedgerHead {
  uint32_t version;
  ProcessId process;
  uint32_t pid, uid, gid;
  int32_t ceiling;
  uint32_t is_name_server;
  uint32_t name_bytes;
  uint64_t region_quota_bytes;
  uint64_t device;                // of all memory that the broker makes
  uint64_t page, grants, ledger;  // inodes
  std::array<char, kMaxNameBytes + 1> name;
};
static_assert(std::has_unique_object_representations_v<LedgerHead>);  // no padding to be sealed
using LedgerSeal = std::array<uint8_t, 32>;

enum class EntryKind : uint32_t {
  kFree,
  kChannel,
  kBell,
  kLink,
  kCapability,
  kRegion,
  kGrantWord,
  kLend,
  kEvent,
};

struct ChannelEntry {  // of its owner
  static constexpr EntryKind kKind = EntryKind::kChannel;
  ChannelId id;
  CapabilityId root;
  uint32_t is_names;
  uint32_t name_bytes;
  std::array<char, kMaxNameBytes + 1> name;
};
struct BellEntry {  // of its channel's owner
  static constexpr EntryKind kKind = EntryKind::kBell;
  uint32_t number;
  ChannelId channel;
  uint32_t uid;
  uint64_t memory, knocker;  // inodes
};
struct LinkEntry {  // of its client
  static constexpr EntryKind kKind = EntryKind::kLink;
  uint32_t connection;
  ChannelId channel;
  uint32_t bell, place;
  CapabilityId capability;  // none: to the name service
  uint64_t badge;
  int32_t ceiling;
};
struct CapabilityEntry {  // of its granter, since its holder may not have joined yet
  static constexpr EntryKind kKind = EntryKind::kCapability;
  CapabilityId id, parent;
  ProcessId holder;
  Extent extent;
  Token token;
};
struct RegionEntry {  // of its owner
  static constexpr EntryKind kKind = EntryKind::kRegion;
  RegionId id;
  CapabilityId root;
  uint64_t bytes;
  uint32_t others_may_write, frozen;
  uint32_t owner_word;
  uint64_t owner_value;
  uint64_t memory, renewed;  // inodes; renewed: 0 for none
};
struct GrantWordEntry {  // of its holder
  static constexpr EntryKind kKind = EntryKind::kGrantWord;
  CapabilityId capability;
  uint32_t word;
  uint64_t value;
};
struct LendEntry {  // of its lender
  static constexpr EntryKind kKind = EntryKind::kLend;
  uint32_t connection, number;
  RegionId region;
  CapabilityId capability;
  uint32_t write;
};
struct EventEntry {  // of its channel's owner
  static constexpr EntryKind kKind = EntryKind::kEvent;
  uint64_t number;
  CapabilityId root;
  ProcessId target;
  RegisterEvent spec;
  uint32_t opened;  // the rest only then
  uint32_t bell, place, grant_word;
  uint64_t link;  // inode
};

inline constexpr size_t kEntryBytes = 312;
struct EntryRecord {
  std::atomic<EntryKind> kind;  // written last, and taken away first
  uint32_t was_used;
  std::array<std::byte, kEntryBytes> body;
};
// What does not find room is not written down, and does not survive its broker. Linux finds memory
// for an entry when it is first used.
inline constexpr size_t kLedgerEntries = 65536;
struct LedgerMemory {
  LedgerHead head;
  LedgerSeal seal;
  alignas(64) std::array<EntryRecord, kLedgerEntries> entries;
};

// -- Writing and reading it

class LedgerEntry;
struct ReadEntry;

class Ledger {
 public:
  // kQuotaExhausted: no memory. `memory` is left open for handing it out.
  static absl::StatusOr<std::shared_ptr<Ledger>> Make(const UniqueFd& memory, LedgerHead head,
                                                      const LedgerKey& key);
  // One that a process shows, to be written on. kNotPermitted: none that a broker with this key has
  // made, or not with these pages.
  static absl::StatusOr<std::shared_ptr<Ledger>> Open(const UniqueFd& memory, const UniqueFd& page,
                                                      const UniqueFd& grants, const LedgerKey& key);
  explicit Ledger(SharedMapping memory) : memory_(std::move(memory)) {}

  // From here on nothing is struck: the broker stops.
  void Leave() { left_ = true; }

  const LedgerHead& head() const { return head_; }
  // Of one that was opened, once: what stands in it. Each ends with its LedgerEntry, as when made.
  static std::vector<ReadEntry> ReadAll(const std::shared_ptr<Ledger>& ledger);

 private:
  friend class LedgerEntry;
  uint32_t Put(EntryKind kind, const void* body, size_t bytes);  // kLedgerEntries: it is full
  void Strike(uint32_t place);
  EntryRecord& At(uint32_t place) { return memory_.As<LedgerMemory>()->entries[place]; }

  SharedMapping memory_;
  LedgerHead head_ = {};
  std::vector<uint32_t> free_;  // below used_
  uint32_t used_ = 0;
  bool left_ = false;
};

// An entry that stands for as long as this lives. Empty: none does.
class LedgerEntry {
 public:
  LedgerEntry() = default;
  template <typename T>
  LedgerEntry(const std::shared_ptr<Ledger>& ledger, const T& body) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kEntryBytes);
    place_ = ledger->Put(T::kKind, &body, sizeof(T));
    if (place_ < kLedgerEntries) ledger_ = ledger;
  }
  LedgerEntry(LedgerEntry&& other) noexcept
      : ledger_(std::move(other.ledger_)), place_(other.place_) {}
  LedgerEntry& operator=(LedgerEntry&& other) noexcept {
    std::swap(ledger_, other.ledger_);
    std::swap(place_, other.place_);
    return *this;
  }
  ~LedgerEntry() {
    if (ledger_ != nullptr) ledger_->Strike(place_);
  }

 private:
  friend class Ledger;
  LedgerEntry(std::shared_ptr<Ledger> ledger, uint32_t place)
      : ledger_(std::move(ledger)), place_(place) {}
  std::shared_ptr<Ledger> ledger_;
  uint32_t place_ = 0;
};

struct ReadEntry {
  EntryKind kind;
  LedgerEntry entry;
  std::array<std::byte, kEntryBytes> body;
  // REQUIRES: it is of that kind.
  template <typename T>
  T As() const {
    T as;
    std::memcpy(static_cast<void*>(&as), body.data(), sizeof(as));
    return as;
  }
};

// -- Whose descriptors they are

// Neither of these two waits for a file's owner, whatever it is.
bool IsSharedMemory(const UniqueFd& fd);
bool IsUnixSocket(const UniqueFd& fd);

struct FileIdentity {
  uint64_t device = 0, inode = 0;
};
// REQUIRES: one of the two above, or the broker's own.
FileIdentity IdentityOf(const UniqueFd& fd);

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_LEDGER_H_
