// Sealing, opening, entering and striking.
#include "kernel-sim/host/ledger.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>

#include "kernel-sim/core/check.h"
#include "kernel-sim/core/errors.h"
#include "kernel-sim/host/broker_memory.h"

namespace parley::host {
namespace {

LedgerSeal SealOf(const LedgerHead& head, const LedgerKey& key) {
  LedgerSeal seal = {};
  unsigned size = 0;
  PARLEY_CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                    reinterpret_cast<const unsigned char*>(&head), sizeof(head), seal.data(),
                    &size) != nullptr &&
               size == seal.size());
  return seal;
}

absl::Status NotOurs(std::string_view why) { return MakeError(Error::kNotPermitted, why); }

}  // namespace

bool IsSharedMemory(const UniqueFd& fd) { return fcntl(fd.get(), F_GET_SEALS) >= 0; }

bool IsUnixSocket(const UniqueFd& fd) {
  int domain = 0;
  socklen_t size = sizeof(domain);
  return getsockopt(fd.get(), SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

FileIdentity IdentityOf(const UniqueFd& fd) {
  struct stat status = {};
  if (fstat(fd.get(), &status) != 0) return {};
  return {status.st_dev, status.st_ino};
}

absl::StatusOr<std::shared_ptr<Ledger>> Ledger::Make(const UniqueFd& memory, LedgerHead head,
                                                     const LedgerKey& key) {
  auto mapped = MapShared(memory, sizeof(LedgerMemory), /*writable=*/true);
  if (!mapped.ok()) return mapped.status();
  auto ledger = std::make_shared<Ledger>(*std::move(mapped));
  ledger->head_ = head;
  auto* written = ledger->memory_.As<LedgerMemory>();
  written->head = head;
  written->seal = SealOf(head, key);
  return ledger;
}

// The memory is mapped for reading first: whatever was shown is not opened for writing until it has
// proved to be the broker's own.
absl::StatusOr<std::shared_ptr<Ledger>> Ledger::Open(const UniqueFd& memory, const UniqueFd& page,
                                                     const UniqueFd& grants, const LedgerKey& key) {
  if (!IsSharedMemory(memory) || !IsSharedMemory(page) || !IsSharedMemory(grants)) {
    return NotOurs("not the broker's memory");
  }
  auto shown = MapShared(memory, sizeof(LedgerMemory), /*writable=*/false);
  if (!shown.ok()) return shown.status();
  LedgerHead head;
  LedgerSeal seal;
  std::memcpy(&head, &shown->As<LedgerMemory>()->head, sizeof(head));
  std::memcpy(&seal, &shown->As<LedgerMemory>()->seal, sizeof(seal));
  const LedgerSeal expected = SealOf(head, key);
  if (CRYPTO_memcmp(seal.data(), expected.data(), seal.size()) != 0) {
    return NotOurs("no ledger that this broker's launcher vouches for");
  }
  const auto is = [&](const UniqueFd& fd, uint64_t inode) {
    const FileIdentity identity = IdentityOf(fd);
    return identity.device == head.device && identity.inode == inode;
  };
  if (head.version != kWireVersion || !is(memory, head.ledger) || !is(page, head.page) ||
      !is(grants, head.grants)) {
    return NotOurs("a ledger of other memory");
  }
  const auto writable = ReopenForWriting(memory);
  if (!writable.ok()) return writable.status();
  auto mapped = MapShared(*writable, sizeof(LedgerMemory), /*writable=*/true);
  if (!mapped.ok()) return mapped.status();
  auto ledger = std::make_shared<Ledger>(*std::move(mapped));
  ledger->head_ = head;
  return ledger;
}

std::vector<ReadEntry> Ledger::ReadAll(const std::shared_ptr<Ledger>& ledger) {
  std::vector<ReadEntry> entries;
  // Entries are taken from the front, and the first that was never used ends them.
  for (uint32_t place = 0; place < kLedgerEntries; ++place) {
    const EntryRecord& record = ledger->At(place);
    const EntryKind kind = record.kind.load(std::memory_order_acquire);
    if (kind == EntryKind::kFree && record.was_used == 0) break;
    ledger->used_ = place + 1;
    if (kind == EntryKind::kFree) {
      ledger->free_.push_back(place);
      continue;
    }
    ReadEntry& read = entries.emplace_back();
    read.kind = kind;
    read.entry = LedgerEntry(ledger, place);
    read.body = record.body;
  }
  return entries;
}

// Release: whoever finds the kind finds the body.
uint32_t Ledger::Put(EntryKind kind, const void* body, size_t bytes) {
  uint32_t place = used_;
  if (!free_.empty()) {
    place = free_.back();
    free_.pop_back();
  } else if (used_ < kLedgerEntries) {
    ++used_;
  } else {
    return kLedgerEntries;
  }
  EntryRecord& record = At(place);
  record.was_used = 1;
  std::memcpy(record.body.data(), body, bytes);
  record.kind.store(kind, std::memory_order_release);
  return place;
}

void Ledger::Strike(uint32_t place) {
  if (left_) return;
  At(place).kind.store(EntryKind::kFree, std::memory_order_release);
  free_.push_back(place);
}

}  // namespace parley::host
