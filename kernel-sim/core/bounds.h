// Every bound of the kernel, named, with its unit. What happens at each is said where it is
// enforced.
#ifndef PARLEY_KERNEL_SIM_CORE_BOUNDS_H_
#define PARLEY_KERNEL_SIM_CORE_BOUNDS_H_

#include <cstddef>
#include <cstdint>
#include <limits>

namespace parley {

inline constexpr int kPriorityLevels = 256;  // 0 is idle, 1 to 255 are threads (255 highest)
inline constexpr int kMinPriority = 1;
inline constexpr int kMaxPriority = 255;
inline constexpr int kDefaultPriority = 10;

inline constexpr uint64_t kMaxMessageBytes = uint64_t{1} << 30;  // S3: each way
inline constexpr size_t kMaxParts = 1024;           // S3: spans in one request or reply
inline constexpr size_t kMaxRegionReferences = 16;  // R5: references in one message
inline constexpr size_t kMaxErrorTextBytes = 240;   // text of an error reply, cut beyond

inline constexpr uint8_t kMaxProgramPulseCode = 127;  // U1: codes above are the kernel's
inline constexpr size_t kMaxQueuedPulsesPerConnection =
    64;  // U2: distinct pulses, coalesced ones count once
inline constexpr size_t kMaxQueuedPulsesPerEvent = 64;  // U4: as above, for an event

inline constexpr uint64_t kPageBytes = 4096;
inline constexpr uint64_t kMaxRegionBytes = uint64_t{1} << 36;  // one region
inline constexpr uint64_t kDefaultRegionQuotaBytes = uint64_t{4}
                                                     << 30;  // R1: all regions of a process

inline constexpr size_t kMaxHandlesPerProcess = 1 << 20;  // of each kind
inline constexpr size_t kMaxNameBytes = 255;  // a name, a thread's name, a program's name

inline constexpr int kMaxReplenishments = 40;  // P7: SPORADIC, pending replenishments of one thread

inline constexpr int64_t kNever =
    std::numeric_limits<int64_t>::max();  // an absolute time in ns: no deadline
inline constexpr int64_t kPollNow =
    0;  // an absolute time in ns, always past: only if it need not block (D1)

}  // namespace parley

#endif  // PARLEY_KERNEL_SIM_CORE_BOUNDS_H_
