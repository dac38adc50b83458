# Run by every build (cmake -P): writes OUT when what is built is another version or commit.
# COMMIT overrides what git says, for sources that come without their repository.
if(NOT COMMIT)
  execute_process(COMMAND git -C ${SOURCE} describe --always --abbrev=12 --exclude=* --dirty
                  OUTPUT_VARIABLE COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT COMMIT)
  set(COMMIT unknown)
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "#define STG_VERSION \"${VERSION}\"\n#define STG_COMMIT \"${COMMIT}\"\n")
