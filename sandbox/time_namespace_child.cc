#include "sandbox/time_namespace_child.h"

#include <fcntl.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/child_safe.h"
#include "sandbox/mounts_child.h"

namespace brood::child {
namespace {

constexpr const char* kOffsetsFile = "/proc/self/timens_offsets";
constexpr int64_t kSecond = 1'000'000'000;

int64_t Now(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return static_cast<int64_t>(now.tv_sec) * kSecond + now.tv_nsec;
}

struct Parts {
  int64_t seconds = 0;
  int64_t nanoseconds = 0;  // 0 and more, also of what is negative.
};

Parts Split(int64_t offset) {
  Parts parts = {offset / kSecond, offset % kSecond};
  if (parts.nanoseconds < 0) parts = {parts.seconds - 1, parts.nanoseconds + kSecond};
  return parts;
}

void AddSigned(Text<160>* text, int64_t value) {
  if (value < 0) text->Add("-");
  text->AddNumber(static_cast<uint64_t>(value < 0 ? -value : value));
}

void AddLine(Text<160>* text, const char* clock, int64_t offset) {
  const Parts parts = Split(offset);
  text->Add(clock).Add(" ");
  AddSigned(text, parts.seconds);
  text->Add(" ").AddNumber(static_cast<uint64_t>(parts.nanoseconds)).Add("\n");
}

// "monotonic     -12     345": whether the line of that clock has that offset.
bool HasOffset(const char* text, const char* clock, int64_t offset) {
  const char* at = strstr(text, clock);
  if (at == nullptr) return false;
  at += strlen(clock);
  while (*at == ' ' || *at == '\t') ++at;
  const bool negative = *at == '-';
  if (negative) ++at;
  const auto seconds = static_cast<int64_t>(ParseNumber(at));
  while (*at >= '0' && *at <= '9') ++at;
  while (*at == ' ' || *at == '\t') ++at;
  const Parts parts = Split(offset);
  return (negative ? -seconds : seconds) == parts.seconds && static_cast<int64_t>(ParseNumber(at)) == parts.nanoseconds;
}

}  // namespace

bool EnterTimeNamespace(const ChildPlan& plan, ClockOffsets* offsets, SetupMessage* failure) {
  constexpr const char* kStep = "time namespace";
  if (unshare(CLONE_NEWTIME) != 0) {
    return Fail(failure, kStep, errno, errno == EINVAL ? "unshare: Linux 5.6 with CONFIG_TIME_NS is needed" : "unshare; see brood doctor");
  }
  const ClockOffsets wanted = {static_cast<int64_t>(plan.monotonic_start_ns) - Now(CLOCK_MONOTONIC),
                               static_cast<int64_t>(plan.boottime_start_ns) - Now(CLOCK_BOOTTIME)};
  Text<160> text;
  AddLine(&text, "monotonic", wanted.monotonic_ns);
  AddLine(&text, "boottime", wanted.boottime_ns);
  // Until something is in the namespace its clocks can be set. time_namespaces(7)
  if (const int error = WriteFile(AT_FDCWD, kOffsetsFile, text.c_str(), text.length()); error != 0) {
    return Fail(failure, kStep, error, "write ", kOffsetsFile);
  }
  // We go in ourselves: a target that shares our memory until its exec would be left outside, or refused (before Linux 6.2).
  const int inside = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
  if (inside < 0) return Fail(failure, kStep, errno, "open /proc/self/ns/time_for_children");
  const bool entered = setns(inside, CLONE_NEWTIME) == 0;
  const int error = errno;
  close(inside);
  if (!entered) return Fail(failure, kStep, error, "setns");
  *offsets = wanted;
  return true;
}

bool ReadBackClocks(const ClockOffsets& offsets, SetupMessage* failure) {
  char text[256];
  if (ReadFile(AT_FDCWD, kOffsetsFile, text, sizeof(text)) <= 0) return Fail(failure, "read_back", errno, "read ", kOffsetsFile);
  if (HasOffset(text, "monotonic", offsets.monotonic_ns) && HasOffset(text, "boottime", offsets.boottime_ns)) return true;
  return Fail(failure, "read_back", 0, "clocks: expected the offsets that were set, and they are others");
}

}  // namespace brood::child
