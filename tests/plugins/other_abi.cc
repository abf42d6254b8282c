// As if it had been built for another brood.
#include "bootstrap/registry.h"

static brood::internal::TargetEntry g_entry = {.abi = "brood 0, Abseil head, string ABI 1",
                                               .name = "Nothing",
                                               .function = nullptr,
                                               .bind = nullptr,
                                               .signature = nullptr,
                                               .call = nullptr};
[[maybe_unused]] static const bool g_registered = brood::internal::RegisterTarget(&g_entry);
