// iceoryx's daemon in a process of ours.
#include "tests/bench/roudi.h"

#include <filesystem>
#include <iostream>

#include "absl/strings/match.h"
#include "iceoryx_hoofs/log/logmanager.hpp"
#include "iceoryx_posh/iceoryx_posh_config.hpp"
#include "iceoryx_posh/internal/roudi/roudi.hpp"
#include "iceoryx_posh/roudi/iceoryx_roudi_components.hpp"
#include "tests/bench/payload.h"

namespace parley_bench {
namespace {

constexpr int kStartMs = 10'000;
constexpr uint32_t kHeaderBytes = 512;  // more than iceoryx puts before a payload
constexpr uint32_t kSmallChunks = 1'024;

// Chunks for replies, and for the requests in flight: few, so that they stay in the cache.
iox::RouDiConfig_t Config(const Setup& setup) {
  iox::mepoo::MePooConfig pools;
  pools.addMemPool({sizeof(Reply) + kHeaderBytes, kSmallChunks});
  if (setup.bytes > sizeof(Reply)) {
    pools.addMemPool({static_cast<uint32_t>(setup.bytes) + kHeaderBytes,
                      static_cast<uint32_t>(8 + 4 * setup.clients)});
  }
  const auto group = iox::posix::PosixGroup::getGroupOfCurrentProcess().getName();
  iox::RouDiConfig_t config;
  config.m_sharedMemorySegments.push_back({group, group, pools});
  return config;
}

// Removes what RouDi and programs that were killed could not.
void RemoveLeftovers(const std::string& address) {
  const std::string group(iox::posix::PosixGroup::getGroupOfCurrentProcess().getName().c_str());
  std::error_code ignored;
  for (const std::string& path :
       {std::string("/dev/shm/iceoryx_mgmt"), "/dev/shm/" + group, std::string("/tmp/roudi"),
        std::string("/tmp/roudi.lock"), std::string("/tmp/iox-unique-roudi.lock")}) {
    std::filesystem::remove(path, ignored);
  }
  for (const auto& entry : std::filesystem::directory_iterator("/tmp", ignored)) {
    if (absl::StartsWith(entry.path().filename().string(), address)) {
      std::filesystem::remove(entry.path(), ignored);
    }
  }
}

// RouDi's process. Ends with SIGINT or SIGTERM, also when its parent has died.
void Run(const Setup& setup, std::atomic<bool>& ready) {
  SilenceIceoryx();
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);  // in all of its threads
  {
    iox::roudi::IceOryxRouDiComponents components(Config(setup));
    // Neither watches processes nor kills them: their parent does.
    const iox::roudi::RouDi::RoudiStartupParameters parameters(iox::roudi::MonitoringMode::OFF,
                                                               false);
    iox::roudi::RouDi roudi(components.rouDiMemoryManager, components.portManager, parameters);
    ready = true;
    int signal = 0;
    sigwait(&signals, &signal);
  }
  RemoveLeftovers(setup.address);
}

}  // namespace

void SilenceIceoryx() {
  for (std::ostream* stream : {&std::cout, &std::clog, &std::cerr}) stream->rdbuf(nullptr);
  iox::log::LogManager::GetLogManager().SetDefaultLogLevel(iox::log::LogLevel::kOff,
                                                           iox::log::LogLevelOutput::kHideLogLevel);
}

absl::StatusOr<std::unique_ptr<RouDi>> RouDi::Start(const Setup& setup) {
  std::unique_ptr<RouDi> roudi(new RouDi(setup));
  const absl::Status started = WaitUntil(
      {roudi->process_.get()}, [&] { return roudi->ready_->load(); }, kStartMs, 1);
  if (absl::IsUnavailable(started)) {
    return absl::UnavailableError("iceoryx's daemon did not start; is another one running?");
  }
  if (!started.ok()) return started;
  return roudi;
}

RouDi::RouDi(const Setup& setup) : address_(setup.address) {
  process_ = std::make_unique<Child>(
      std::vector<int>(), [this, setup] { Run(setup, *ready_); }, SIGTERM);
}

RouDi::~RouDi() {
  if (getpid() != owner_) return;
  process_.reset();
  // Another's names are left alone: ours are ours once it got the lock.
  if (ready_->load()) RemoveLeftovers(address_);
}

}  // namespace parley_bench
