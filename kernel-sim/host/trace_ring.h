// What a process records of itself while its run is traced (HostOptions::trace): a ring of records
// for each thread, in memory that the process shares with its launcher and with nobody else.
//
// A ring has one writer at a time, its thread; ring 0 is the agent's. Writing is a store of 32
// bytes and one of the count, no lock, no system call, and no line that another thread looks at.
// The launcher reads once Linux has reaped the process (trace_merge.h), so one that is killed
// leaves what it had written. When a ring is full its oldest records are overwritten; the count
// tells how many.
//
// A message has the same name on both sides without a word between them: its connection's number,
// its slot's bit in the bell, and its sequence in that slot.
#ifndef PARLEY_KERNEL_SIM_HOST_TRACE_RING_H_
#define PARLEY_KERNEL_SIM_HOST_TRACE_RING_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace parley::host {

enum class RecordKind : uint8_t {
  kNone = 0,
  kState,          // in `state` from now on; `object`: the channel it waits on
  kPriority,       // effective in `state`, base in `extra`
  kSend,           // a message to channel `object`; `extra`: bytes
  kSendFailed,     // that has ended without a reply; `extra`: an Error
  kAnswered,       // that was answered; its thread has slept, and runs again
  kReceive,        // a message, after a wait of `extra` ticks (0: none, or it was told as a state)
  kReply,          // to a message, of `extra` bytes
  kPulseSent,      // on channel `object`; code in `state`. Thread 0: by the kernel
  kEventSent,      // the same, `object` being an event
  kPulseReceived,  // on channel `object`; code in `state`; `extra` as of kReceive
  kRegion,         // `value`: RegionId; what in `state` (a RegionEvent)
  kCounter,        // `value`: its new total; its name follows, `extra` bytes
  kMark,           // a remark follows, `extra` bytes
  kText,           // 16 bytes of what the record before goes on with
};

struct TraceRecord {
  uint64_t ticks;   // ticks.h
  uint32_t thread;  // ThreadId within the process
  RecordKind kind;
  uint8_t state;
  uint16_t place;  // of a message: its slot's bit in the bell
  uint64_t value;  // of a message: connection and sequence; of a pulse: its value
  uint32_t object;
  uint32_t extra;
};
static_assert(sizeof(TraceRecord) == 32);

constexpr uint64_t MessageValue(uint32_t connection, uint32_t sequence) {
  return uint64_t{connection} << 32 | sequence;
}
// As `state` of kReceive: `ticks` are of the last look at which it had not come.
inline constexpr uint8_t kLookedLast = 1;

// 2 MiB a thread: the last 65,536 sends of a client, the last 32,768 messages of a server. Linux
// finds memory for what is written only.
inline constexpr size_t kRingRecords = size_t{1} << 16;
// A program with more threads at a time than this traces those that came first: 128 MiB a process
// at most. One that ends leaves its ring to the next.
inline constexpr size_t kMostRings = 64;
// Threads, channels and events of a process in all its life; those beyond have no name, so they are
// left out. As many as find place beside the rings for an eighth of one.
inline constexpr size_t kMostNames = 4096;
inline constexpr size_t kMostTextBytes = 240;  // of a remark or a counter's name; cut beyond
inline constexpr size_t kTextBytes = 16;       // of them, in a record

enum class Named : uint8_t { kNone = 0, kThread, kChannel, kEvent };
struct TraceName {
  Named of;
  uint8_t bytes;
  uint16_t reserved;
  uint32_t id;
  uint32_t channel;  // of an event
  std::array<char, 52> text;
};
static_assert(sizeof(TraceName) == 64);

struct TraceRing {
  std::atomic<uint64_t> written;  // records so far, also those overwritten since
  alignas(64) std::array<TraceRecord, kRingRecords> records;
};

// All zero is empty.
struct TraceArea {
  uint32_t rings_used;
  uint32_t names_used;
  uint32_t nameless;       // that found no place among the names
  uint32_t ringless;       // threads that found no ring
  uint32_t tells_answers;  // servers may be of another run, which records nothing for this one
  alignas(64) std::array<TraceName, kMostNames> names;
  std::array<TraceRing, kMostRings> rings;
};

// -- Writing

// Where the calling Linux thread records; null: nowhere, which is the usual case.
inline constinit thread_local TraceRing* t_trace_ring __attribute__((tls_model("initial-exec"))) =
    nullptr;

inline void WriteRecord(TraceRing& ring, const TraceRecord& record) {
  const uint64_t count = ring.written.load(std::memory_order_relaxed);
  // Field by field: a copy of what was just put together would wait for its parts.
  TraceRecord& place = ring.records[count % kRingRecords];
  place.ticks = record.ticks;
  place.thread = record.thread;
  place.kind = record.kind;
  place.state = record.state;
  place.place = record.place;
  place.value = record.value;
  place.object = record.object;
  place.extra = record.extra;
  // Release: in this order, should the process be killed in between.
  ring.written.store(count + 1, std::memory_order_release);
  __builtin_prefetch(&ring.records[(count + 2) % kRingRecords], /*rw=*/1);  // the next line
}

inline constexpr size_t kTextOffset = offsetof(TraceRecord, value);
static_assert(kTextOffset + kTextBytes == sizeof(TraceRecord));

inline void WriteText(TraceRing& ring, TraceRecord record, std::string_view text) {
  text = text.substr(0, kMostTextBytes);
  record.extra = static_cast<uint32_t>(text.size());
  WriteRecord(ring, record);
  for (size_t at = 0; at < text.size(); at += kTextBytes) {
    TraceRecord more = {};
    more.kind = RecordKind::kText;
    std::memcpy(reinterpret_cast<std::byte*>(&more) + kTextOffset, text.data() + at,
                std::min(kTextBytes, text.size() - at));
    WriteRecord(ring, more);
  }
}

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_TRACE_RING_H_
