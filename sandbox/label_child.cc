#include "sandbox/label_child.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/child_safe.h"
#include "sandbox/mounts_child.h"

namespace brood::child {
namespace {

const char* Refusal(const LabelStep& step, int error) {
  const bool apparmor = step.module == LabelStep::Module::kAppArmor;
  switch (error) {
    case ENOENT:
      return "no such profile is loaded; apparmor_parser -r FILE loads those of a file: ";
    case EINVAL:
      return apparmor ? "AppArmor does not take it for the name of a profile: " : "SELinux's policy knows no such context: ";
    case EACCES:
    case EPERM:
      return apparmor ? "brood's own profile allows no change to it: " : "SELinux's policy does not allow brood's own domain to set it: ";
    default:
      return "write ";
  }
}

// What is asked for, without the word of AppArmor's before it.
const char* NameIn(const LabelStep& step) {
  const char* const space = step.module == LabelStep::Module::kAppArmor ? strchr(step.text, ' ') : nullptr;
  return space != nullptr ? space + 1 : step.text;
}

}  // namespace

LabelWord JudgeLabel(const LabelStep& step, const char* seen) {
  if (step.module != LabelStep::Module::kAppArmor) {
    // It writes the level in its own way, "c1.c2" for "c1,c2", and has only one for what is before that.
    size_t named = 0;
    for (size_t colons = 0; step.text[named] != '\0'; ++named) {
      if (step.text[named] == ':' && ++colons == 3) break;
    }
    const bool same = named > 0 && strncmp(seen, step.text, named) == 0 && (seen[named] == ':' || seen[named] == '\0');
    return same ? LabelWord::kSame : LabelWord::kOther;
  }
  const char* mode = seen;
  for (const char* at = strstr(seen, " ("); at != nullptr; at = strstr(at + 1, " (")) mode = at;
  const char* const name = NameIn(step);
  // Of one beside another, or of another namespace of profiles, the kernel has names that are made of several.
  const bool plain = strncmp(step.text, "exec ", 5) == 0 && name[0] != ':' && strstr(name, "//&") == nullptr;
  const size_t named = mode == seen ? strcspn(seen, "\n") : static_cast<size_t>(mode - seen);
  if (named == 0 || (plain && (named != strlen(name) || memcmp(seen, name, named) != 0))) return LabelWord::kOther;
  // Of several that have not the same mode it is not told which has which: "mixed".
  const bool enforced = strcmp(mode, " (enforce)") == 0 || strcmp(mode, " (kill)") == 0;
  return enforced ? LabelWord::kSame : LabelWord::kNotEnforced;
}

bool SetLabel(const LabelStep& step, int proc, SetupMessage* failure) {
  if (step.module == LabelStep::Module::kNone) return true;
  const char* const name = NameIn(step);
  // AppArmor has a directory of its own since Linux 5.8.
  int file = step.module == LabelStep::Module::kAppArmor ? openat(proc, "thread-self/attr/apparmor/exec", O_RDWR | O_CLOEXEC) : -1;
  if (file < 0 && (step.module != LabelStep::Module::kAppArmor || errno == ENOENT)) file = openat(proc, "thread-self/attr/exec", O_RDWR | O_CLOEXEC);
  if (file < 0) {
    return Fail(failure, "label", errno, errno == EROFS ? "brood's own /proc is read-only, in which a label is asked for: " : "open /proc/thread-self/attr/exec for ", name);
  }
  const ssize_t length = static_cast<ssize_t>(strlen(step.text));
  const ssize_t written = write(file, step.text, static_cast<size_t>(length));
  if (written != length) {
    const int error = written < 0 ? errno : EIO;
    close(file);
    return Fail(failure, "label", error, Refusal(step, error), name);
  }
  // No step is taken at its word. Without a label there is nothing to be read.
  char seen[1024] = {};
  const ssize_t told = pread(file, seen, sizeof(seen) - 1, 0);
  const int error = told < 0 ? errno : 0;
  close(file);
  seen[strcspn(seen, "\n")] = '\0';
  const LabelWord word = told > 0 ? JudgeLabel(step, seen) : LabelWord::kOther;
  if (word == LabelWord::kSame || (word == LabelWord::kNotEnforced && step.any_mode)) return true;
  Text<sizeof(SetupMessage::detail)> detail;
  detail.Add("expected ").Add(name);
  if (word == LabelWord::kNotEnforced) {
    return Fail(failure, "label", 0, detail.Add(" to be enforced, and it is not (aa-enforce, or accept it with --allow-weaker label): ").c_str(), seen);
  }
  return Fail(failure, "label", error, detail.Add(", seen ").Add(told > 0 ? seen : "none").c_str());
}

}  // namespace brood::child
