// The only purpose of this unit is to own the precompiled header that every module reuses.
