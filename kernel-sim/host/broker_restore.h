// The work of Broker::Restore, in the order in which things rest on each other (broker_restore.cc),
// and what processes are told of it (broker_restore_tell.cc).
#ifndef PARLEY_KERNEL_SIM_HOST_BROKER_RESTORE_H_
#define PARLEY_KERNEL_SIM_HOST_BROKER_RESTORE_H_

#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "kernel-sim/host/broker.h"

namespace parley::host {

class Broker::Restoration {
 public:
  explicit Restoration(Broker& broker) : broker_(broker) {}

  // In the order in which things rest on each other.
  void Run() {
    ReturnProcesses();
    Each(&Restoration::Channel);
    Each(&Restoration::Bell);
    EndSilentChannels();
    Each(&Restoration::Region);
    Each(&Restoration::Event);
    Capabilities();
    Each(&Restoration::Word);
    Connections();
    Each(&Restoration::Lend);
    for (Returned& returned : returned_) ClearOtherWords(returned);
    for (Returned& returned : returned_) returned.entries.clear();  // what was left out goes
    for (const Returned& returned : returned_) TellWhatEnded(returned);
    TellMemories();
    for (const Returned& returned : returned_) {
      broker_.Conclude(*returned.process->peer, returned.claims->call, Packet::Of(0, Done{}));
    }
  }

 private:
  struct Returned {
    ProcessRecord* process = nullptr;
    std::shared_ptr<Rejoining> claims;
    uint64_t device = 0;
    std::vector<ReadEntry> entries;
    absl::flat_hash_set<uint32_t> words;  // of its grant page, in use
  };

  template <typename T>
  void Each(void (Restoration::*restore)(Returned&, const T&, LedgerEntry&)) {
    for (Returned& returned : returned_) {
      for (ReadEntry& read : returned.entries) {
        if (read.kind == T::kKind) (this->*restore)(returned, read.As<T>(), read.entry);
      }
    }
  }

  void ReturnProcesses();
  void Channel(Returned& owner, const ChannelEntry& was, LedgerEntry& entry);
  void Bell(Returned& owner, const BellEntry& was, LedgerEntry& entry);
  void EndSilentChannels();
  void Region(Returned& owner, const RegionEntry& was, LedgerEntry& entry);
  void Event(Returned& owner, const EventEntry& was, LedgerEntry& entry);
  void Capabilities();
  void Grant(Returned& granter, const CapabilityEntry& was, LedgerEntry& entry);
  void Word(Returned& holder, const GrantWordEntry& was, LedgerEntry& entry);
  void Connections();
  struct Link {
    LinkEntry was;
    LedgerEntry* entry;
  };
  void Connection(Returned& client, const std::vector<Link>& links);
  bool MayConnect(const Returned& client, const LinkEntry& was) const;
  void Lend(Returned& lender, const LendEntry& was, LedgerEntry& entry);
  void ClearOtherWords(Returned& returned);
  void TellWhatEnded(const Returned& returned);
  void TellMemories();

  Returned* Find(ProcessId process) {
    auto found = by_process_.find(process);
    return found == by_process_.end() ? nullptr : &returned_[found->second];
  }
  static bool Is(const UniqueFd& fd, const Returned& by, uint64_t inode) {
    if (!fd.valid() || inode == 0 || !IsSharedMemory(fd)) return false;
    const FileIdentity identity = IdentityOf(fd);
    return identity.device == by.device && identity.inode == inode;
  }
  bool IsNewCapability(CapabilityId id) const {
    return id != CapabilityId::kNone && !broker_.capabilities_.IsLive(id);
  }
  // Whether the word holds this, and nothing else has it.
  static bool CanHaveWord(const Returned& returned, uint32_t word, uint64_t value) {
    return word < kGrantWords && value != 0 && !returned.words.contains(word) &&
           returned.process->grants.As<GrantPage>()->words[word].load() == value;
  }
  static BellPlace FreePlace(const ChannelRecord& channel, uint32_t bell, uint32_t place,
                             uint32_t uid) {
    for (const auto& record : channel.bells) {
      if (record->number != bell || record->uid != uid) continue;
      if (place < BellRecord::kPlaces && !record->taken[place]) return {record.get(), place};
    }
    return {};
  }

  Broker& broker_;
  std::vector<Returned> returned_;
  absl::flat_hash_map<ProcessId, size_t> by_process_;
  absl::flat_hash_set<Token> tokens_;
};

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_BROKER_RESTORE_H_
