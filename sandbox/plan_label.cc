#include "sandbox/plan_label.h"

#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace brood {
namespace {

std::string Content(std::string_view root, std::string_view path) {
  std::ifstream file(absl::StrCat(root, path));
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace

LabelSupport FindLabelSupport(std::string_view root) {
  // Not /sys/kernel/security/lsm: few containers have that.
  if (absl::StartsWith(Content(root, "/sys/module/apparmor/parameters/enabled"), "Y")) {
    return {.module = LabelStep::Module::kAppArmor, .by_what = "AppArmor", .why = {}, .remedy = {}};
  }
  // Registered only where it runs. security/selinux/selinuxfs.c, init_sel_fs()
  if (absl::StrContains(Content(root, "/proc/filesystems"), "\tselinuxfs\n")) {
    LabelSupport selinux = {.module = LabelStep::Module::kSelinux, .by_what = "SELinux", .why = {}, .remedy = {}};
    const std::string enforce = Content(root, "/sys/fs/selinux/enforce");
    if (enforce == "1") return selinux;
    selinux.why = enforce.empty() ? "whether SELinux enforces anything is not to be seen, without /sys/fs/selinux" : "SELinux is permissive, and enforces nothing";
    selinux.remedy = enforce.empty() ? "mount -t selinuxfs selinuxfs /sys/fs/selinux" : "setenforce 1";
    return selinux;
  }
  return {.module = LabelStep::Module::kNone,
          .by_what = {},
          .why = "neither AppArmor nor SELinux runs here",
          .remedy = "boot a kernel that has one of them with apparmor=1 security=apparmor, or selinux=1 security=selinux"};
}

std::string LabelText(LabelStep::Module module, std::string_view label) {
  if (module != LabelStep::Module::kAppArmor) return std::string(label);
  // As aa-exec(1) does; "stack" is what its name is with a "&".
  return absl::StartsWith(label, "&") ? absl::StrCat("stack ", label.substr(1)) : absl::StrCat("exec ", label);
}

}  // namespace brood
