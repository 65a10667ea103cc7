// What all processes of one user may have together of one thing, so that no user can use up what
// the broker has for everybody.
//
// Who takes a share holds it for as long as the thing is there; its end gives it back. A share does
// not outlive its quota.
#ifndef PARLEY_KERNEL_SIM_HOST_BROKER_QUOTA_H_
#define PARLEY_KERNEL_SIM_HOST_BROKER_QUOTA_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "kernel-sim/core/errors.h"

namespace parley::host {

class UserQuota {
 public:
  class Share {
   public:
    Share() = default;
    Share(Share&& other) noexcept { Swap(other); }
    Share& operator=(Share&& other) noexcept {
      Share old(std::move(*this));
      Swap(other);
      return *this;
    }
    ~Share() {
      if (amount_ > 0) quota_->Return(uid_, amount_);
    }
    // A share of its own, out of this one. REQUIRES: amount is not more than it has.
    Share Split(size_t amount) {
      amount_ -= amount;
      return Share(quota_, uid_, amount);
    }
    bool empty() const { return amount_ == 0; }

   private:
    friend class UserQuota;
    Share(UserQuota* quota, uint32_t uid, size_t amount)
        : quota_(quota), uid_(uid), amount_(amount) {}
    void Swap(Share& other) {
      std::swap(quota_, other.quota_);
      std::swap(uid_, other.uid_);
      std::swap(amount_, other.amount_);
    }

    UserQuota* quota_ = nullptr;
    uint32_t uid_ = 0;
    size_t amount_ = 0;
  };

  // `what`, for the refusal, in the plural; a literal.
  UserQuota(size_t limit, const char* what) : limit_(limit), what_(what) {}
  UserQuota(const UserQuota&) = delete;
  UserQuota& operator=(const UserQuota&) = delete;

  // kQuotaExhausted: the user's processes would have more than the limit.
  absl::StatusOr<Share> Take(uint32_t uid, size_t amount) {
    auto taken = taken_.find(uid);
    const size_t before = taken == taken_.end() ? 0 : taken->second;
    if (amount > limit_ - before) {
      return MakeError(Error::kQuotaExhausted,
                       absl::StrCat(limit_, " ", what_, " are all that a user may have"));
    }
    if (amount > 0) taken_[uid] = before + amount;
    return Share(this, uid, amount);
  }
  // Of all users.
  size_t taken() const {
    size_t sum = 0;
    for (const auto& [uid, amount] : taken_) sum += amount;
    return sum;
  }

 private:
  void Return(uint32_t uid, size_t amount) {
    auto taken = taken_.find(uid);
    taken->second -= amount;
    if (taken->second == 0) taken_.erase(taken);
  }

  const size_t limit_;
  const char* const what_;
  absl::flat_hash_map<uint32_t, size_t> taken_;  // by uid, none of them 0
};

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_BROKER_QUOTA_H_
