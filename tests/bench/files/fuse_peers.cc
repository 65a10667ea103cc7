// Two file systems by libfuse3 alone.
#include "tests/bench/files/fuse_peers.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "servers/fused/fuse.h"
#include "tests/bench/process.h"

namespace parley_bench {
namespace {

// As fused has them (servers/fused/bridge.cc, workers.h), so that neither side is asked for more at
// a time, nor is believed longer.
constexpr unsigned kDataBytes = 1 << 20;
constexpr unsigned kBackgroundRequests = 64;
constexpr unsigned kIdleThreads = 4;
constexpr double kKnownSeconds = 0;

constexpr fuse_ino_t kFileNode = 2;

// A file system of one file in its root.
struct OneFile {
  const char* name;
  int descriptor;  // what is passed through; -1: the counter
  long count = 0;
};

OneFile& Of(fuse_req_t request) { return *static_cast<OneFile*>(fuse_req_userdata(request)); }

void Init(void*, fuse_conn_info* connection) {
  connection->max_write = connection->max_read = kDataBytes;
  connection->max_background = kBackgroundRequests;
  constexpr unsigned kSplice = FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE;
  connection->want |= connection->capable & kSplice;
}

struct stat StateOf(const OneFile& served, fuse_ino_t node) {
  struct stat state = {};
  if (node == kFileNode && served.descriptor >= 0) {
    fstat(served.descriptor, &state);
  } else {
    state.st_mode = node == kFileNode ? S_IFREG | 0666 : S_IFDIR | 0755;
    state.st_nlink = 1;
  }
  state.st_ino = node;
  return state;
}

void Lookup(fuse_req_t request, fuse_ino_t, const char* name) {
  const OneFile& served = Of(request);
  if (std::strcmp(name, served.name) != 0) return void(fuse_reply_err(request, ENOENT));
  fuse_entry_param entry = {};
  entry.ino = kFileNode;
  entry.attr = StateOf(served, kFileNode);
  entry.attr_timeout = entry.entry_timeout = kKnownSeconds;
  fuse_reply_entry(request, &entry);
}

void GetAttributes(fuse_req_t request, fuse_ino_t node, fuse_file_info*) {
  const struct stat state = StateOf(Of(request), node);
  fuse_reply_attr(request, &state, kKnownSeconds);
}

void Open(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  info->direct_io = Of(request).descriptor < 0;
  fuse_reply_open(request, info);
}

// By splice, which was seen to be faster by 3 % than by a buffer.
void PassRead(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info*) {
  fuse_bufvec bytes = FUSE_BUFVEC_INIT(size);
  bytes.buf[0].flags = static_cast<fuse_buf_flags>(FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK);
  bytes.buf[0].fd = Of(request).descriptor;
  bytes.buf[0].pos = offset;
  fuse_reply_data(request, &bytes, FUSE_BUF_SPLICE_MOVE);
}

void CountRead(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info*) {
  std::array<char, 32> text;
  const auto length =
      static_cast<size_t>(std::snprintf(text.data(), text.size(), "%ld\n", Of(request).count));
  const size_t from = std::min(static_cast<size_t>(offset), length);
  fuse_reply_buf(request, text.data() + from, std::min(size, length - from));
}

void Serve(const std::string& folder, OneFile& served, bool threads) {
  fuse_lowlevel_ops operations = {};
  operations.init = Init;
  operations.lookup = Lookup;
  operations.getattr = GetAttributes;
  operations.open = Open;
  operations.read = served.descriptor >= 0 ? PassRead : CountRead;
  std::string options = absl::StrCat("default_permissions,max_read=", kDataBytes);
  std::string name = "bench-files", dash_o = "-o";
  std::array<char*, 4> words = {name.data(), dash_o.data(), options.data(), nullptr};
  fuse_args arguments = FUSE_ARGS_INIT(3, words.data());
  fuse_session* session = fuse_session_new(&arguments, &operations, sizeof(operations), &served);
  fuse_opt_free_args(&arguments);
  if (session == nullptr) Fatal("libfuse: no session");
  Require(fuse_set_signal_handlers(session) == 0, "libfuse");
  if (fuse_session_mount(session, folder.c_str()) != 0) Fatal("libfuse: no mount");
  if (threads) {
    fuse_loop_config how = {};
    how.max_idle_threads = kIdleThreads;
    fuse_session_loop_mt(session, &how);
  } else {
    fuse_session_loop(session);
  }
  fuse_session_unmount(session);
  fuse_session_destroy(session);
}

}  // namespace

void ServePassthrough(const std::string& folder, const std::string& file) {
  OneFile served = {.name = kPassedName, .descriptor = open(file.c_str(), O_RDONLY | O_CLOEXEC)};
  Require(served.descriptor >= 0, file.c_str());
  Serve(folder, served, true);
}

void ServeCounter(const std::string& folder) {
  OneFile served = {.name = kCounterName, .descriptor = -1};
  Serve(folder, served, false);
}

}  // namespace parley_bench
