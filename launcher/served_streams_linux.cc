#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <utility>

#include "launcher/served_streams.h"

namespace brood::internal {

ServedStreams::ServedStreams(EventLoop& loop, const LaunchRecord& record, std::function<void()> over_limit)
    : loop_(loop),
      over_limit_(std::move(over_limit)),
      records_{record.streams[0], record.streams[1]},
      limited_(record.output_limited),
      limit_bytes_(record.output_bytes) {}

ServedStreams::~ServedStreams() {
  if (deadline_.has_value()) loop_.Cancel(*deadline_);
  for (const Watched& watched : watched_) loop_.Forget(watched.fd);
  if (!pump_.has_value()) return;
  for (const StreamRecord& record : records_) {
    if (record.pipe >= 0) close(record.pipe);
  }
}

bool ServedStreams::Take(UniqueFd& fd) {
  for (StreamRecord& record : records_) {
    if (record.pipe >= 0 && fd.get() == record.pipe) {
      (void)fd.release();  // The pump closes it.
      return true;
    }
  }
  for (const StreamRecord& record : records_) {
    if (record.sink < 0 || fd.get() != record.sink) continue;
    sinks_.push_back(std::move(fd));
    // Both may lead to one place, which cannot be waited for twice.
    if (records_[0].sink == records_[1].sink) {
      sinks_.emplace_back(dup(sinks_.back().get()));
      records_[1].sink = sinks_.back().get();
    }
    return true;
  }
  return false;
}

void ServedStreams::Begin() {
  if (records_[0].pipe < 0 && records_[1].pipe < 0) return;
  buffers_ = std::make_unique_for_overwrite<char[]>(2 * child::Pump::kBufferSize);
  pump_.emplace(records_, limited_, limit_bytes_, buffers_.get());
  Rewatch();
}

void ServedStreams::Rewatch() {
  pollfd polls[2];
  pump_->AddPolls(polls);
  for (int place = 0; place < 2; ++place) {
    Watched& watched = watched_[place];
    if (watched.fd == polls[place].fd && watched.events == polls[place].events) continue;
    loop_.Forget(watched.fd);
    watched = {};
    if (polls[place].fd < 0) continue;
    const uint32_t events = polls[place].events == POLLIN ? EPOLLIN : EPOLLOUT;
    if (loop_.Watch(polls[place].fd, events, [this, place](uint32_t) { OnReady(place); }).ok()) {
      watched = {polls[place].fd, polls[place].events};
      continue;
    }
    // What cannot be waited for, such as /dev/null, is always ready. epoll_ctl(2), EPERM
    pollfd ready[2] = {{-1, 0, 0}, {-1, 0, 0}};
    ready[place] = {polls[place].fd, polls[place].events, polls[place].events};
    pump_->Move(ready, 2);
    pump_->AddPolls(polls);
    --place;
  }
}

void ServedStreams::OnReady(int place) {
  pollfd ready[2] = {{-1, 0, 0}, {-1, 0, 0}};
  ready[place] = {watched_[place].fd, watched_[place].events, watched_[place].events};
  // It may close what is watched.
  loop_.Forget(watched_[place].fd);
  watched_[place] = {};
  pump_->Move(ready, 2);
  if (done_ != nullptr) return MaybeDone();
  Rewatch();
  if (pump_->over_limit() && over_limit_ != nullptr) std::exchange(over_limit_, nullptr)();
}

void ServedStreams::Drain(int64_t deadline_ns, std::function<void()> done) {
  done_ = std::move(done);
  over_limit_ = nullptr;
  if (pump_.has_value() && deadline_ns != 0) {
    deadline_ = loop_.Schedule(deadline_ns, [this] {
      deadline_.reset();
      GiveUp();
    });
  }
  MaybeDone();
}

// A stream with nothing to pass on is not waited for: the pipe may have other writers, which no tree of ours holds.
void ServedStreams::MaybeDone() {
  if (pump_.has_value() && pump_->ReadRest()) {
    for (Watched& watched : watched_) {
      if (watched.events == POLLIN) {
        loop_.Forget(watched.fd);
        watched = {};
      }
    }
    pollfd polls[2];
    pump_->AddPolls(polls);
    if (polls[0].events == POLLOUT || polls[1].events == POLLOUT) return Rewatch();
  }
  if (done_ != nullptr) std::exchange(done_, nullptr)();
}

void ServedStreams::GiveUp() {
  if (pump_.has_value()) pump_->GiveUp();
  if (done_ != nullptr) std::exchange(done_, nullptr)();
}

void ServedStreams::Report(GuardianReport& report) const {
  if (!pump_.has_value()) return;
  for (int i = 0; i < 2; ++i) {
    report.stream_bytes[i] = pump_->bytes(i);
    report.stream_truncated[i] = pump_->truncated(i) ? 1 : 0;
    report.stream_errors[i] = pump_->error(i);
  }
  // What the child wrote last may have been too much.
  if (pump_->over_limit() && report.cause == EndCause::kNone) report.cause = EndCause::kOutput;
}

}  // namespace brood::internal
