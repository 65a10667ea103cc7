// The memory that processes of the host kernel share: slots, links, bells, lanes, thread pages.
//
// Everything here is written by another process at any time. What a reader takes out of it, it
// reads once into memory of its own, checks, then uses. All of it is sealed against resizing, so a
// mapping never faults. docs/host.md draws it byte by byte; the assertions below keep the two
// together.
//
// Atomics are sequentially consistent unless a comment at their use argues otherwise.
#ifndef PARLEY_KERNEL_SIM_HOST_LAYOUT_H_
#define PARLEY_KERNEL_SIM_HOST_LAYOUT_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "kernel-sim/core/bounds.h"

namespace parley::host {

inline constexpr size_t kCacheLine = 64;

// -- A slot: one send in flight from a client thread to a server

// Each side has a word of its own, on a line of its own that the other side watches; both carry the
// sequence of the send that they speak of. The client asks:
//
//   kNothing --Submit--> kSent ----Withdraw----> kNothing
//                          |---AskToLeave--> kWantsToLeave
//                          +---Leave--> kLeft <--+
//
// and the server says what has become of it, once for each send that it has received: kReplied,
// kFailed or kReleased (slot.h). That it has received it, it notes in a third word.
inline constexpr uint32_t kSequenceShift = 8;
constexpr uint32_t SequenceOf(uint32_t word) { return word >> kSequenceShift; }
constexpr uint32_t NextSequence(uint32_t sequence) {
  return (sequence + 1) & (~0u >> kSequenceShift);
}

enum class Ask : uint32_t {
  kNothing = 0,       // none was sent, or it was taken back
  kSent = 1,          // an answer is waited for (SEND, REPLY)
  kWantsToLeave = 2,  // the same; D3: the client has asked for an unblock pulse
  kLeft = 3,          // the client has left after the receive; the server has yet to let go
};
constexpr Ask AskOf(uint32_t request) { return static_cast<Ask>(request & 3); }
constexpr uint32_t MakeRequest(uint32_t sequence, Ask ask) {
  return sequence << kSequenceShift | static_cast<uint32_t>(ask);
}

enum class Outcome : uint32_t {
  kNone = 0,
  kReplied = 1,   // the reply stands in the slot
  kFailed = 2,    // an error reply stands in the slot
  kReleased = 3,  // it was taken back while it was being received: it was not
};
// In the answer's word, besides.
inline constexpr uint32_t kClientSleeps = 4;  // the client waits in the kernel for it to change
inline constexpr uint32_t kNudged = 8;        // the client's own process wants it to look up
inline constexpr uint32_t kWatched = 16;      // the server looks here before it sleeps: do not ring
inline constexpr uint32_t kServerGone = 32;   // set by the client's agent: no reply will come
inline constexpr uint32_t kClientLeft = 64;   // nobody waits for this answer (D3)
inline constexpr uint32_t kCopyAsked = 128;   // the server asks for a copy (Staging)
inline constexpr uint32_t kLookUp = kNudged | kServerGone | kCopyAsked;  // not to be slept on
constexpr Outcome OutcomeOf(uint32_t answer) { return static_cast<Outcome>(answer & 3); }
constexpr uint32_t MakeAnswer(uint32_t sequence, Outcome outcome, uint32_t flags) {
  return sequence << kSequenceShift | static_cast<uint32_t>(outcome) | flags;
}

// What a server tells each of its clients of itself: hints where to wait for it (placement.cc).
inline constexpr uint8_t kOneClient = 1;    // this one alone keeps it busy
inline constexpr uint8_t kNeverSleeps = 2;  // its clients do not let it sleep

// R5, as the client claims it: a range of a region that the broker has lent to the server.
struct SharedReference {
  uint32_t lend = 0;  // its number (wire.h)
  uint8_t direction = 0;
  uint8_t reserved[3] = {};
  uint64_t offset = 0;
  uint64_t length = 0;
};

// Requests and replies up to kInlineBytes travel in the slot itself. What is longer stays in the
// client's memory, where the server finds it by these; where Linux does not let it go there, the
// client's thread copies, by way of a staging area.
struct RemoteParts {
  uint64_t address = 0;  // of an array of {address, length} in the client's memory
  uint64_t count = 0;
};

inline constexpr size_t kInlineBytes = 4096;
inline constexpr size_t kShortReplyBytes = 48;

// A line for what the client says, one for what the server says, short replies included, then the
// bytes. So a small message costs two lines' trips there and one back. What only one side looks at
// lies behind.
struct alignas(kCacheLine) Slot {
  std::atomic<uint32_t> request;  // sequence and Ask
  uint32_t request_bytes;         // full length; inline if at most kInlineBytes
  uint32_t reply_room;
  uint32_t thread;                   // ThreadId of the sender
  std::atomic<uint16_t> priority;    // changes while queued (P2)
  std::atomic<uint16_t> client_cpu;  // where each side ran last: who shares a CPU does not spin
  uint8_t references;
  alignas(kCacheLine) std::atomic<uint32_t> answer;  // sequence, flags and Outcome; a futex
  uint32_t reply_bytes;  // full length; of an error: the length of its text
  uint16_t server_cpu;
  uint8_t server_load;   // kOneClient, kNeverSleeps
  uint8_t error;         // canonical code of an error reply,
  uint8_t kernel_error;  // or an Error that the kernel on the server's side has found
  uint8_t reserved[3];
  std::array<std::byte, kShortReplyBytes> short_reply;  // of one that is not longer
  alignas(kCacheLine)
      std::array<std::byte, kInlineBytes> bytes;  // of the request, then of a longer reply
  std::array<SharedReference, kMaxRegionReferences> region;
  RemoteParts request_parts, reply_parts;           // the first of what is longer than fits
  alignas(kCacheLine) std::atomic<uint32_t> taken;  // the server's: the sequence it received last
  // The client's: when the request was sent, in clock ticks. Looked at only where several are found
  // at once (P1), so that it is written after the request, once `stamped` is the request's
  // sequence.
  alignas(kCacheLine) std::atomic<uint64_t> sent_at;
  std::atomic<uint32_t> stamped;
};
static_assert(std::atomic<uint32_t>::is_always_lock_free);
static_assert(offsetof(Slot, answer) == 64 && offsetof(Slot, bytes) == 128);
static_assert(sizeof(Slot) == 4800);

// -- A staging area: where a client's thread, blocked in its send, serves the copies that Linux
// does not permit its server to make itself. One for each slot, a chunk at a time.

// Whose turn it is; who may change it:
//
//   kNobody ---server--> kClient ---client--> kServed   --server--> kNobody or kClient
//                           |                 kRefused  --server--> kNobody
//                           +--server--> kNobody (it has given up)
//
// The server fills in the ask (and the bytes, if they are to be written into the reply), gives the
// turn to the client, and sets kCopyAsked in the slot's answer. The client
// copies nothing but within the request and the reply buffers of this one send.
enum class Turn : uint32_t {
  kNobody = 0,
  kClient = 1,   // the ask stands here, and is the client's to serve
  kServed = 2,   // its bytes are copied
  kRefused = 3,  // it is not within what the client offers, or that is not the client's memory
};
inline constexpr uint32_t kTurnMask = 3;
inline constexpr uint32_t kServerSleeps = 4;  // a thread of the server waits in the kernel

constexpr Turn TurnOf(uint32_t word) { return static_cast<Turn>(word & kTurnMask); }

// A chunk: as large as its two wake-ups are small beside its two copies.
inline constexpr size_t kStagingBytes = 65536;

struct CopyAsk {
  uint64_t offset = 0;    // into the request or the reply
  uint32_t length = 0;    // at most kStagingBytes
  uint32_t to_reply = 0;  // 0: from the request into `bytes`; else from there into the reply
};
struct Staging {
  alignas(kCacheLine) std::atomic<uint32_t> turn;
  CopyAsk ask;
  alignas(kCacheLine) std::array<std::byte, kStagingBytes> bytes;
};
static_assert(offsetof(Staging, ask) == 8 && offsetof(Staging, bytes) == 64);

// -- A lane: pulses from one source (a connection or an event) on their way to a channel

// An entry with count 0 is the sender's to fill; with another it is queued. The receiver takes the
// count by exchanging it for 0 when the pulse is received, so identical ones coalesce until then
// (U2).
struct LaneEntry {
  std::atomic<uint32_t> count;
  uint8_t code;
  uint8_t priority;
  uint16_t reserved;
  uint64_t value;
  uint64_t sent_at;  // as of a slot
};
static_assert(sizeof(LaneEntry) == 24);
struct Lane {
  std::array<LaneEntry, kMaxQueuedPulsesPerConnection> entries;
};

// -- A link: the memory of one connection, mapped by its client and its server only

inline constexpr uint32_t kSlotsPerLink = 3;
inline constexpr uint32_t kBitsPerLink =
    4;  // in the bell: one for each slot, the last for the lane
inline constexpr uint32_t kLaneBit = 3;

struct Link {
  alignas(kCacheLine) std::atomic<uint32_t> closed_by_server;  // L1: the channel is gone
  // How the channel was made; set by the server.
  std::atomic<uint32_t> unblock_pulse;  // D3
  std::atomic<uint32_t> no_spin;        // who waits does not spin
  alignas(kCacheLine) std::array<Slot, kSlotsPerLink> slots;
  Lane lane;
  std::array<Staging, kSlotsPerLink> staging;  // Linux finds memory for it when it is first used
};

// -- A bell: who wants attention on one channel, among the clients of one user

inline constexpr uint32_t kBellWords = 64;
inline constexpr uint32_t kBellBits = kBellWords * 64;

enum class Door : uint32_t {
  kAwake = 0,     // somebody looks at the bell before sleeping
  kSleeping = 1,  // wake one by the futex; with a number in the bits above (bell.h)
  kPolling = 2,   // wake by the knocker
};

struct Bell {
  // Bit w: words[w] is not 0. A client sets its bit in words first, then here; the server clears
  // here first, then there. So a set bit is never without its summary for longer than a ring takes.
  alignas(kCacheLine) std::atomic<uint64_t> summary;
  std::atomic<uint32_t> door;  // a Door, futex word
  // P4: the lowest priority at which a serving thread runs. A client above it that is about to
  // sleep knocks (a socket), so that the server's agent boosts what is busy.
  alignas(kCacheLine) std::atomic<uint32_t> served_level;
  alignas(kCacheLine) std::array<std::atomic<uint64_t>, kBellWords> words;
};

// -- A page of threads: what `parley ps` and the deadlock check see of a process. Written by the
// process, read by the broker and by tools, believed by nobody.

struct ThreadEntry {
  std::atomic<uint32_t> id;    // 0: free
  std::atomic<uint32_t> tid;   // Linux
  std::atomic<uint8_t> state;  // a ThreadState
  std::atomic<uint8_t> base;
  std::atomic<uint8_t> effective;
  std::atomic<uint8_t> reserved;
  // SEND, REPLY: a connection. RECEIVE: a channel. JOIN, MUTEX: a thread of the process.
  std::atomic<uint32_t> blocked_on;
  std::array<std::atomic<uint32_t>, 4> serves;  // channels (P3); the last is ~0 if there are more
  std::atomic<uint64_t> since;                  // ticks; when it began to wait
  std::array<std::atomic<char>, 32> name;       // cut
};
inline constexpr size_t kThreadEntries = 1024;

struct ProcessPage {
  alignas(kCacheLine) std::array<ThreadEntry, kThreadEntries> threads;
};

// -- Grants: one word for each region grant of a process. Written by the broker alone; the holder
// maps it read-only. R6: a mapping may be touched while its word holds the grant's number.

inline constexpr size_t kGrantWords = 8192;
struct GrantPage {
  std::array<std::atomic<uint64_t>, kGrantWords> words;
};

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_LAYOUT_H_
