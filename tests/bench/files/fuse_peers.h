// The peers of fused and of a small resource manager: two file systems by libfuse3 alone, as little
// as each can be.
#ifndef PARLEY_TESTS_BENCH_FILES_FUSE_PEERS_H_
#define PARLEY_TESTS_BENCH_FILES_FUSE_PEERS_H_

#include <string>

namespace parley_bench {

// What both show their one file as.
inline constexpr char kPassedName[] = "file";
inline constexpr char kCounterName[] = "counter";

// Each mounts `folder` and serves it until its process is ended. A process of Parley's all the
// same, so that Linux schedules it as it does Parley's servers.

// `file` passed through: several threads, with the mount options and limits that fused has.
void ServePassthrough(const std::string& folder, const std::string& file);
// A number that reads as a line of text: one thread, and nothing cached.
void ServeCounter(const std::string& folder);

}  // namespace parley_bench

#endif  // PARLEY_TESTS_BENCH_FILES_FUSE_PEERS_H_
