// The messages of file operations, for whoever writes another server or another client of them
// (M1). docs/files.md draws them byte by byte.
//
// A message is a list of operations, done in order until one fails; so what belongs together (seek
// and read; open, stat and close) is one message. Request: the header, `count` Operations, then
// their payloads in the same order. Reply: the header, a Result for each operation that was begun,
// then their payloads in the same order.
#ifndef PARLEY_LIBIPC_INCLUDE_IPC_FILE_PROTOCOL_H_
#define PARLEY_LIBIPC_INCLUDE_IPC_FILE_PROTOCOL_H_

#include <cstdint>

#include "ipc/channel.h"
#include "ipc/token.h"
#include "ipc/typed.h"

namespace ipc::files {

inline constexpr uint32_t kMaxOperations = 32;         // of one message
inline constexpr uint64_t kMaxPayloadBytes = 1 << 20;  // of one message; past it, by region
inline constexpr uint64_t kMaxPathBytes = 4096;
inline constexpr uint64_t kMaxNameBytes = 255;

inline constexpr uint32_t kNewest = ~0u;             // the file that this message opened last
inline constexpr uint64_t kPosition = ~uint64_t{0};  // an offset: where the file's position is
inline constexpr uint16_t kNoRegion = 0xffff;

// What would not block.
inline constexpr uint32_t kReadable = 1, kWritable = 2;

// What an operation does, what it takes and what it gives.
enum class Verb : uint16_t {
  kNothing = 0,
  kOpen = 1,      // payload: the path. flags: O_*; value: permissions of what is made. -> file
  kClose = 2,     //
  kRead = 3,      // offset, length, region. -> value: bytes; payload: they, without a region
  kWrite = 4,     // offset, length, region; payload: the bytes, without a region. -> value: bytes
                  // Both, of a region: value: where in its range
  kSeek = 5,      // offset: a signed distance; flags: SEEK_SET, SEEK_CUR, SEEK_END. -> value
  kStat = 6,      // payload: a path, or nothing and `file`. -> payload: Stat
  kList = 7,      // offset: a cookie, 0 at first; length: room. -> value: entries; payload: they
  kTruncate = 8,  // length: the new size
  kControl = 9,   // value: the code; payload: its struct; length: room. -> value, payload
  kPoll = 10,     // flags: kReadable, kWritable; value: 1 to wait for one. -> value: which hold
  kSync = 11,     //
  kUnlink = 12,   // payload: a path; flags: AT_REMOVEDIR
  kRename = 13,   // payload: two paths, each ended by a zero byte
  kMake = 14,     // payload: a path and, of a symbolic link, its target, each ended by a zero byte;
                  // value: mode, with S_IF*
  kLink = 15,     // payload: as kRename
  kReadLink = 16,  // payload: a path -> payload: the target
  kChange = 17,    // payload: Change, then a path, or nothing and `file`
  kNotify = 18,    // flags: as kPoll; payload: EventToken, or nothing to end it. -> as kPoll
  kMap = 19,       // offset, length; flags: kWritable or 0. -> payload: Token; value: its bytes
  kLock = 20,      // offset, length; flags: F_*LCK and kLock*; value: owner. -> payload: Lock
  kStatFs = 21,    // -> payload: StatFs
};

// Of kLock: wait for it; only say who stands in the way.
inline constexpr uint32_t kLockWait = 0x100, kLockTest = 0x200;

// What goes in front of a request's operations.
struct Operations {
  static constexpr MessageType kType{.code = 0x656c6966, .version = 1};  // "file"
  uint32_t count = 0;
  uint32_t reserved = 0;  // 0
};
// What goes in front of a reply's results.
struct Results {
  static constexpr MessageType kType{.code = 0x656c6967, .version = 1};
  uint32_t count = 0;
  uint32_t reserved = 0;
};

// One of a request. What a verb does not use is 0.
struct Operation {
  Verb verb = Verb::kNothing;
  uint16_t region = kNoRegion;  // which of the message's region references the bytes are in
  uint32_t file = kNewest;
  uint32_t flags = 0;
  uint32_t payload_bytes = 0;  // in the request
  uint64_t offset = 0;
  uint64_t length = 0;
  uint64_t value = 0;
};
static_assert(sizeof(Operation) == 40);

// What became of one of them.
struct Result {
  int32_t error = 0;  // an errno; 0: it is done
  uint32_t file = 0;  // of kOpen
  uint64_t value = 0;
  uint32_t payload_bytes = 0;  // in the reply
  uint32_t reserved = 0;
};
static_assert(sizeof(Result) == 24);

// The code of a control request that is a struct; what it carries is a typed message.
template <TypedMessage T>
constexpr uint64_t ControlCode() {
  return uint64_t{T::kType.version} << 32 | T::kType.code;
}

// What stat(2) tells.
struct Stat {
  uint64_t inode = 0;
  uint64_t size = 0;                                         // bytes
  int64_t accessed_ns = 0, modified_ns = 0, changed_ns = 0;  // since 1970
  uint32_t mode = 0;                                         // S_IF* and permissions
  uint32_t links = 1;
  uint32_t uid = 0, gid = 0;
};
static_assert(sizeof(Stat) == 56);

// What chmod(2), chown(2) and utimensat(2) change: what `mask` names.
struct Change {
  static constexpr uint32_t kMode = 1, kUid = 2, kGid = 4;
  static constexpr uint32_t kAccessed = 8, kModified = 16;         // to the times here
  static constexpr uint32_t kAccessedNow = 32, kModifiedNow = 64;  // to the server's
  uint32_t mask = 0;
  uint32_t mode = 0;  // permissions
  uint32_t uid = 0, gid = 0;
  int64_t accessed_ns = 0, modified_ns = 0;
};
static_assert(sizeof(Change) == 32);

// Who stands in the way of a lock, as fcntl(F_GETLK) tells; type F_UNLCK: nobody.
struct Lock {
  uint64_t owner = 0;
  uint64_t start = 0, length = 0;  // length 0: up to the end, wherever that is
  uint32_t type = 0;               // F_RDLCK, F_WRLCK, F_UNLCK
  uint32_t pid = 0;                // of its process
};
static_assert(sizeof(Lock) == 32);

// What statvfs(3) tells.
struct StatFs {
  uint64_t block_bytes = 4096;
  uint64_t blocks = 0, blocks_free = 0, blocks_available = 0;
  uint64_t files = 0, files_free = 0;
  uint64_t name_bytes = kMaxNameBytes;
};
static_assert(sizeof(StatFs) == 56);

// One of a directory; its name follows, `name_bytes` long, then zeros up to a multiple of 8.
struct Entry {
  uint64_t inode = 0;
  uint64_t next = 0;  // the cookie with which the list goes on behind it
  uint32_t mode = 0;  // S_IF* at least
  uint32_t name_bytes = 0;
};
static_assert(sizeof(Entry) == 24);

}  // namespace ipc::files

#endif  // PARLEY_LIBIPC_INCLUDE_IPC_FILE_PROTOCOL_H_
