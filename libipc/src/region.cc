// Regions.
#include "ipc/region.h"

#include <algorithm>
#include <utility>

#include "libipc/src/convert.h"

namespace ipc {

Region::Region(Region&& other) noexcept
    : MappedRange(std::move(other)),
      kernel_(other.kernel_),
      handle_(std::exchange(other.handle_, 0)) {}

Region& Region::operator=(Region&& other) noexcept {
  if (this == &other) return *this;
  this->~Region();
  return *new (this) Region(std::move(other));
}

Region::~Region() {
  if (handle_ != 0) kernel_->RegionClose(parley::RegionHandle{handle_});
}

RegionReference Region::Refer(uint64_t offset, uint64_t length,
                              RegionReference::Direction direction) const {
  if (length == kAll) length = size() - std::min(offset, size());
  return {handle_, offset, length, direction};
}

RegionReference Region::In(uint64_t offset, uint64_t length) const {
  return Refer(offset, length, RegionReference::Direction::kIn);
}
RegionReference Region::Out(uint64_t offset, uint64_t length) const {
  return Refer(offset, length, RegionReference::Direction::kOut);
}
RegionReference Region::InOut(uint64_t offset, uint64_t length) const {
  return Refer(offset, length, RegionReference::Direction::kInOut);
}

absl::StatusOr<Token> Region::Grant(ProcessRef holder, Access access, uint64_t offset,
                                    uint64_t length) const {
  if (length == kAll) length = size() - std::min(offset, size());
  auto token = kernel_->RegionGrant(parley::RegionHandle{handle_}, ToKernel(holder), offset, length,
                                    static_cast<parley::Rights>(access));
  if (!token.ok()) return token.status();
  return FromKernel(*token);
}

absl::Status Region::Freeze() {
  absl::Status frozen = kernel_->RegionFreeze(parley::RegionHandle{handle_});
  if (frozen.ok()) writable_ = false;
  return frozen;
}

absl::Status Region::Reclaim() {
  auto mapping = kernel_->RegionReclaim(parley::RegionHandle{handle_});
  if (!mapping.ok()) return mapping.status();
  address_ = mapping->address;
  live_value_ = mapping->live_value;
  return absl::OkStatus();
}

absl::Status Region::Check() const { return kernel_->RegionCheck(parley::RegionHandle{handle_}); }

}  // namespace ipc
