// The output of a child whose guardian is the supervisor: what pump_child.h does, in its event loop.
#ifndef BROOD_LAUNCHER_SERVED_STREAMS_H_
#define BROOD_LAUNCHER_SERVED_STREAMS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/unique_fd.h"
#include "forkserver/event_loop.h"
#include "launcher/launch_record.h"
#include "launcher/pump_child.h"

namespace brood::internal {

class ServedStreams {
 public:
  // Its descriptors are numbers still: Take brings them. `over_limit` is called once, when more is written than `record` allows.
  ServedStreams(EventLoop& loop, const LaunchRecord& record, std::function<void()> over_limit);
  ServedStreams(const ServedStreams&) = delete;
  ServedStreams& operator=(const ServedStreams&) = delete;
  ~ServedStreams();

  // One of the descriptors of the launch; false if it is none of a stream, and stays the caller's.
  bool Take(UniqueFd& fd);

  // All are there.
  void Begin();

  // The child has ended: passes on what it has written, until `deadline_ns` (0: for ever), and calls `done`, perhaps at once.
  void Drain(int64_t deadline_ns, std::function<void()> done);

  // Drops what is left, and calls the `done` of Drain.
  void GiveUp();

  void Report(GuardianReport& report) const;

 private:
  struct Watched {
    int fd = -1;
    short events = 0;
  };

  void OnReady(int place);
  void Rewatch();
  void MaybeDone();

  EventLoop& loop_;
  std::function<void()> over_limit_;
  std::function<void()> done_;
  StreamRecord records_[2];
  const bool limited_;
  const uint64_t limit_bytes_;
  std::vector<UniqueFd> sinks_;
  std::unique_ptr<char[]> buffers_;
  std::optional<child::Pump> pump_;
  Watched watched_[2];
  std::optional<EventLoop::Timer> deadline_;
};

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_SERVED_STREAMS_H_
