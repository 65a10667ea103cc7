// The end of a run: who waits on whom when nothing can go on, and the figures.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernel-sim/core/waits_for.h"
#include "kernel-sim/sim/simulation.h"

namespace parley::sim {

// The threads any of which could end this one's wait, as far as a kernel can know.
std::vector<SimThread*> Simulation::CouldFree(const SimThread& thread) {
  switch (thread.state()) {
    case ThreadState::kSend: {
      std::vector<SimThread*> servers;
      for (Thread* server : thread.send.connection->channel->servers()) {
        servers.push_back(static_cast<SimThread*>(server));
      }
      return servers;
    }
    case ThreadState::kReply:
      return ThreadsOf(*thread.send.receiver);
    case ThreadState::kMutex:
      return {static_cast<SimThread*>(thread.mutex()->owner)};
    case ThreadState::kJoin:
      return thread.joining != nullptr ? std::vector<SimThread*>{thread.joining}
                                       : ThreadsOf(*thread.waiting_for);
    default:
      return {};
  }
}

std::vector<SimThread*> Simulation::ThreadsOf(Process& process) {
  std::vector<SimThread*> threads;
  for (SimThread& thread : process.threads) threads.push_back(&thread);
  return threads;
}

std::string Simulation::DescribeWait(const SimThread& thread) {
  std::string text = absl::StrCat(NameOf(thread), " (priority ", thread.effective(), ") is ",
                                  std::string(Name(thread.state())), "-blocked");
  if (thread.state() == ThreadState::kSend || thread.state() == ThreadState::kReply) {
    absl::StrAppend(&text, " on ", thread.send.connection->channel->options.name);
  }
  if (thread.state() == ThreadState::kReceive) {
    auto& channel = static_cast<SimChannel&>(*thread.channel());
    absl::StrAppend(&text, " on ", channel.options.name);
    if (!channel.reply_blocked.empty()) {
      std::vector<std::string> unanswered;
      for (const SimThread& client : channel.reply_blocked) unanswered.push_back(NameOf(client));
      absl::StrAppend(&text, ", has not answered ", absl::StrJoin(unanswered, ", "));
    }
  }
  const std::vector<SimThread*> freers = CouldFree(thread);
  if (!freers.empty()) {
    std::vector<std::string> names;
    for (const SimThread* freer : freers) names.push_back(NameOf(*freer));
    absl::StrAppend(&text, ", waits for ", absl::StrJoin(names, " or "));
  }
  return text;
}

void Simulation::ReportDeadlock() {
  report_.deadlock = true;
  size_t blocked = 0;
  for (const auto& process : processes_) {
    if (!process->ended && !process->service) blocked += ThreadsOf(*process).size();
  }
  Problem(absl::StrCat("deadlock at ", now(), " ns: ", blocked,
                       blocked == 1 ? " thread waits" : " threads wait", " and no timer is armed"));
  for (const auto& process : processes_) {
    if (process->ended) continue;
    for (const SimThread& thread : process->threads) {
      // A service that only waits for work is no part of it.
      const bool idle_service = process->service && thread.state() == ThreadState::kReceive &&
                                static_cast<SimChannel&>(*thread.channel()).reply_blocked.empty();
      if (!idle_service) Problem(absl::StrCat("  ", DescribeWait(thread)));
    }
  }
}

// L4: circles through pools, for which no send is refused. Any thread of a process may yet receive
// on its channels, so all of them count as able to free a sender.
void Simulation::ReportCircles() {
  auto freers_of = [](const SimThread& thread) {
    return thread.state() == ThreadState::kSend
               ? ThreadsOf(thread.send.connection->channel->process)
               : CouldFree(thread);
  };
  auto waits = [&](const SimThread& thread) {
    return !thread.deadline.armed() && !thread.grace.armed() && !freers_of(thread).empty();
  };
  std::vector<WaitEdge> edges;
  absl::flat_hash_map<ThreadId, std::string> names;
  for (const auto& process : processes_) {
    for (const SimThread& thread : process->threads) {
      if (!waits(thread)) continue;
      const std::vector<SimThread*> freers = freers_of(thread);
      if (!std::all_of(freers.begin(), freers.end(),
                       [&](const SimThread* freer) { return waits(*freer); })) {
        continue;
      }
      WaitEdge edge{.waiter = thread.id(), .targets = {}};
      for (const SimThread* freer : freers) edge.targets.push_back(freer->id());
      names[edge.waiter] = NameOf(thread);
      edges.push_back(std::move(edge));
    }
  }
  std::vector<std::string> stuck;
  for (ThreadId thread : FindDeadlocked(edges)) stuck.push_back(names[thread]);
  if (!stuck.empty()) {
    Problem(absl::StrCat("only they could free each other: ", absl::StrJoin(stuck, ", ")));
  }
}

void Simulation::FillReport() {
  ReportCircles();
  report_.misfit = chooser_.misfit() >= 0;
  if (report_.misfit) {
    Problem(absl::StrCat("the replay string does not fit this program: choice ", chooser_.misfit(),
                         " is out of range"));
  }
  report_.context_switches = scheduler_.switches();
  report_.choices = chooser_.choices();
  report_.choice_widths = chooser_.widths();
  report_.choices_made = report_.choices.size();
  while (!report_.choices.empty() && report_.choices.back() == 0) report_.choices.pop_back();
  for (int priority = 0; priority < kPriorityLevels; ++priority) {
    const auto& response = responses_[static_cast<size_t>(priority)];
    if (response.count > 0) report_.responses[priority] = response;
  }
  for (const auto& process : processes_) {
    ProcessReport report = process->report;
    report.exit = process->exit;
    report.running = !process->ended;
    for (const SimThread& thread : process->threads) report.cpu_ns += thread.cpu_ns();
    const ExitKind kind = process->exit.kind;
    if (process->ended && kind != ExitKind::kReturned && kind != ExitKind::kKilled) {
      Problem(absl::StrCat(process->birth.name, ": ", process->exit.reason));
    }
    report_.processes.push_back(std::move(report));
  }
}

}  // namespace parley::sim
