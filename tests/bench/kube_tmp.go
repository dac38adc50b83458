package main

const kubeWatchRate = 200
