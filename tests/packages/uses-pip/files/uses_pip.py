import pip._internal
