"""From the user's Python to IR: conversion, staged control flow, boxes for traced values, tables of library functions."""
