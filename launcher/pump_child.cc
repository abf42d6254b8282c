#include "launcher/pump_child.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "launcher/sink_child.h"

namespace brood::child {
namespace {

char g_buffers[2 * Pump::kBufferSize];  // A guardian has one child; untouched pages cost nothing.

// What it has no room for it drops, and says so. A memory file takes what there is memory for.
void Copy(StreamRecord* record, const char* data, size_t size, uint64_t* copied, bool* truncated) {
  const uint64_t room = record->copy_bytes - *copied;
  const size_t part = size < room ? size : static_cast<size_t>(room);
  const ssize_t n = part > 0 ? write(record->copy, data, part) : 0;
  *copied += n > 0 ? static_cast<uint64_t>(n) : 0;
  if (n < 0 || static_cast<size_t>(n) < size) *truncated = true;
}

bool SameFile(int one, int other) {
  struct stat first, second;
  return fstat(one, &first) == 0 && fstat(other, &second) == 0 && first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

}  // namespace

Pump::Pump(StreamRecord* streams, bool limited, uint64_t limit_bytes, char* buffers) : limited_(limited), left_(limit_bytes) {
  for (int i = 0; i < 2; ++i) {
    state_[i].record = &streams[i];
    state_[i].buffer = (buffers != nullptr ? buffers : g_buffers) + static_cast<size_t>(i) * kBufferSize;
    state_[i].open = streams[i].pipe >= 0;
    struct stat status;
    state_[i].direct = streams[i].sink >= 0 && fstat(streams[i].sink, &status) == 0 && S_ISREG(status.st_mode);
  }
}

size_t Pump::AddPolls(pollfd* polls) {
  for (int i = 0; i < 2; ++i) {
    const State& state = state_[i];
    polls[i] = {-1, 0, 0};  // poll(2) ignores negative descriptors.
    if (state.begin < state.end) {
      polls[i] = {state.record->sink, POLLOUT, 0};
    } else if (state.open) {
      polls[i] = {state.record->pipe, POLLIN, 0};
    }
  }
  return 2;
}

void Pump::Move(const pollfd* polls, size_t count) {
  for (size_t i = 0; i < count && i < 2; ++i) {
    if (polls[i].revents == 0) continue;
    State* state = &state_[i];
    if (state->begin < state->end) {
      Write(state);
    } else if (state->open) {
      Read(state);
      if (state->begin < state->end && state->direct) Write(state);
    }
  }
}

bool Pump::ReadRest() {
  bool pending = false;
  for (State& state : state_) {
    while (state.begin == state.end && state.open) {
      if (!Read(&state)) break;
      if (state.begin < state.end && state.direct) Write(&state);
    }
    pending = pending || state.begin < state.end;
  }
  return pending;
}

bool Pump::Read(State* state) {
  const ssize_t n = read(state->record->pipe, state->buffer, kBufferSize);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return errno == EINTR;
  if (n <= 0) {
    close(state->record->pipe);
    state->record->pipe = -1;
    state->open = false;
    MaybeEnd(state);
    return false;
  }
  size_t got = static_cast<size_t>(n);
  state->bytes += got;
  if (limited_) {
    if (got > left_) {
      got = static_cast<size_t>(left_);
      over_limit_ = true;
      state->truncated = true;
    }
    left_ -= got;
  }
  if (state->kept + got > state->record->keep_bytes) {
    got = static_cast<size_t>(state->record->keep_bytes - state->kept);
    state->truncated = true;
  }
  state->kept += got;
  if (state->record->copy >= 0) Copy(state->record, state->buffer, got, &state->copied, &state->truncated);
  state->begin = 0;
  state->end = got;
  return true;
}

void Pump::Write(State* state) {
  const size_t length = state->end - state->begin;
  const char* data = state->buffer + state->begin;
  const ssize_t n = state->direct ? write(state->record->sink, data, length) : WriteSoon(state->record->sink, data, length);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n < 0) {
    if (errno != EPIPE && errno != ECONNRESET) state->error = errno;
    Drop(state);
    return;
  }
  state->begin += static_cast<size_t>(n);
  MaybeEnd(state);
}

void Pump::GiveUp() {
  for (State& state : state_) {
    if (state.begin < state.end) Drop(&state);
  }
}

// The reader is gone (EPIPE) or the disk is full: the child gets SIGPIPE or EPIPE for its next write, as it would have
// without us between.
void Pump::Drop(State* state) {
  state->begin = state->end = 0;
  state->truncated = true;
  state->open = false;
  if (state->record->pipe >= 0) close(state->record->pipe);
  state->record->pipe = -1;
  MaybeEnd(state);
}

// All of it is passed on: who reads the sink is to see that now, and not when the child ends.
void Pump::MaybeEnd(State* state) {
  StreamRecord& record = *state->record;
  if (!record.ends_sink || state->open || state->begin < state->end || record.sink < 0) return;
  // Of a socket others have descriptors, so that closing ours tells nobody. If both streams go there, the last one does.
  const State& other = state_[state == &state_[0] ? 1 : 0];
  const bool last = !other.open && other.begin == other.end;
  if (last || !SameFile(record.sink, other.record->sink)) shutdown(record.sink, SHUT_WR);
  close(record.sink);
  record.sink = -1;
}

}  // namespace brood::child
