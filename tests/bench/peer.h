// A peer: one way of moving a request and its reply between two processes. Each is a file here.
// Parley's host kernel is one of them.
#ifndef PARLEY_TESTS_BENCH_PEER_H_
#define PARLEY_TESTS_BENCH_PEER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace parley_bench {

enum class Placement { kSameCore, kTwoCores, kUnpinned };

// What a peer is made for.
struct Setup {
  Placement placement = Placement::kUnpinned;
  size_t bytes = 64;         // of each request
  int clients = 1;           // processes
  bool fan_in = false;       // the server is one that can serve many, also if it has one client
  std::string address = {};  // of this row alone: good for the name of an abstract Unix socket
};

// Made in the parent process, which starts no thread; used in a server's and in clients' processes
// that are forked from it afterwards. What the constructor makes, both have: mappings, sockets.
// What fails in their processes ends them (Fatal).
class Peer {
 public:
  virtual ~Peer() = default;

  // In the server's process: calls `ready` once clients can connect, then answers every request
  // with its sum until the process gets SIGTERM.
  virtual void Serve(const std::function<void()>& ready) = 0;

  // In the process of each client, 0 to clients - 1.
  virtual void Connect(int client) = 0;
  // One trip. `number` counts from 1. Returns the sum that the reply carries.
  virtual uint64_t Call(uint64_t number) = 0;
  virtual void Disconnect() {}
};

inline constexpr size_t kKi = 1024;
inline constexpr size_t kMi = 1024 * kKi;

// The rows of a peer: each size with each placement, and fan-in.
struct PeerKind {
  std::string name;  // "floor/pipe"
  std::vector<size_t> sizes = {64, 4 * kKi, 64 * kKi, kMi};
  std::vector<Placement> placements = {Placement::kSameCore, Placement::kTwoCores,
                                       Placement::kUnpinned};
  bool fan_in = false;
  std::vector<int> fan_ins = {1, 32};  // clients
  std::string suffix = "";             // after the size
  // The row that a row stands on, with * for its placement. Empty: a cache line's trip between two
  // cores, a futex elsewhere.
  std::string floor = "";
  // OutOfRange: a request of this size is past what the peer can move.
  std::function<absl::StatusOr<std::unique_ptr<Peer>>(const Setup&)> make = nullptr;
  // Instead, of what makes its processes itself: the samples (board.h).
  std::function<absl::StatusOr<std::vector<double>>(const Setup&)> measure = nullptr;
};

// For PeerKind::make of a peer that needs nothing but its setup.
template <typename P>
absl::StatusOr<std::unique_ptr<Peer>> Make(const Setup& setup) {
  return std::make_unique<P>(setup);
}

PeerKind CacheLine();
PeerKind Futex();
PeerKind Yield();
PeerKind SharedMemory();
PeerKind ProcessVmReadv();
PeerKind Pipe();
PeerKind UnixSocket();
PeerKind MessageQueue();
PeerKind ZeroMq();
PeerKind Nng();
PeerKind IceoryxBusy();
PeerKind IceoryxWaitSet();
PeerKind CapnProto();
PeerKind Grpc();
PeerKind SdBus();
// Parley on the host kernel: requests inline, those copied between processes, by region, without
// spinning, and while traced.
PeerKind Host();
PeerKind HostLarge();
PeerKind HostRegion();
PeerKind HostSpinOff();
PeerKind HostTraced();

}  // namespace parley_bench

#endif  // PARLEY_TESTS_BENCH_PEER_H_
